package import BackupCatalog
package import Bytes
import SegmentFormat

/// A generation and the generations that it goes on from, with what can be restored from each.
package struct Lineage: Sendable {
    /// One generation of the line.
    package struct Member: Sendable {
        /// What its objects are good for.
        package let timeline: Timeline
        /// The last commit that belongs to the line: where the child goes on; nil for the tip.
        package let cut: TXID?

        /// The first commit or state that can be the line's.
        var parent: GenerationRecord.Parent? { timeline.generation.record.parent }

        /// Whether commit `txid` is on the line as far as this generation's place in it goes.
        func owns(_ txid: TXID) -> Bool {
            if let cut, txid > cut { return false }
            guard let parent else { return true }
            return txid > parent.txid
        }

        /// The last state of the line that this generation can restore.
        var last: TXID? {
            guard let last = timeline.current?.last else { return nil }
            return cut.map { min($0, last) } ?? last
        }
    }

    /// The tip first, then its parent, and so on.
    package private(set) var members: [Member]
    /// The parent that should follow and cannot be read, and why.
    package private(set) var missing: (generation: GenerationID, error: any Error)?

    /// The newest generation of the line.
    package var tip: Timeline { members[0].timeline }

    /// A line that consists of one generation.
    package init(tip: Timeline) { members = [Member(timeline: tip, cut: nil)] }

    /// Reads the line that ends with `tip`: ancestors too, while `isEnough` says no.
    ///
    /// `writer` chooses between the histories of a fork.
    /// - Throws: `damaged` when parents go in a circle; `StoreError`.
    package static func load(
        _ tip: Generation,
        from catalog: Catalog,
        preferring writer: WriterTag? = nil,
        until isEnough: (Lineage) -> Bool = { _ in false }
    ) async throws -> Lineage {
        var line = Lineage(tip: try await catalog.timeline(of: tip, preferring: writer))
        var known: Set<GenerationID> = [tip.id]
        while !isEnough(line), let parent = line.members.last?.parent {
            guard known.insert(parent.generation).inserted, known.count <= Limits.maxLineage else {
                throw CatalogError(
                    .damaged,
                    object: tip.id.text,
                    "its parents go in a circle, or there are more than \(Limits.maxLineage)"
                )
            }
            do {
                let generation = try await catalog.generation(parent.generation)
                guard generation.record.pageSize == tip.record.pageSize else {
                    throw CatalogError(
                        .damaged,
                        object: parent.generation.text,
                        "it has another page size than its child"
                    )
                }
                let timeline = try await catalog.timeline(of: generation, preferring: writer)
                // A child may go on from a state that lies before its parent began.
                let cut = min(parent.txid, line.members.last?.cut ?? parent.txid)
                line.members.append(Member(timeline: timeline, cut: cut))
            } catch let error as CatalogError {
                line.missing = (parent.generation, error)
                break
            }
        }
        return line
    }

    /// The ranges of TXIDs whose states can be restored, oldest first.
    package var windows: [ClosedRange<TXID>] {
        var windows: [ClosedRange<TXID>] = []
        for member in members.reversed() {
            for run in member.timeline.runs {
                let last = member.cut.map { min($0, run.last) } ?? run.last
                var first = run.first
                if run.beginsWithParent {
                    guard let end = windows.last?.upperBound, end >= first else { continue }
                    first = windows.removeLast().lowerBound
                }
                if first <= last { windows.append(first...last) }
            }
        }
        return windows
    }

    /// The windows in words.
    package var windowText: String {
        let windows = windows
        guard !windows.isEmpty else { return "nothing can be restored" }
        var text = "TXIDs "
        text += windows.map { "\($0.lowerBound) to \($0.upperBound)" }.joined(separator: ", ")
        let first = members.reversed().lazy.compactMap { $0.timeline.runs.first?.firstTime }.first
        if let first, let last = members[0].timeline.current?.lastTime {
            text += " (\(first) to \(last))"
        }
        return text
    }
}
