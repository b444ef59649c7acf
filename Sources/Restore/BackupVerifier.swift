package import BackupCatalog
package import Bytes
package import ObjectStorage
package import Platform
import SegmentFormat

/// Looks for what is missing or damaged in a store, and says what can still be restored.
package struct BackupVerifier: Sendable {
    /// Something that is not as it should be.
    package struct Finding: Sendable, Hashable {
        /// The kinds of findings.
        package enum Kind: String, Sendable {
            /// Commits or objects that must have been there are not.
            case missing
            /// An object is not what was stored.
            case corrupt
            /// Two histories go on from one commit.
            case forked
            /// A restore did not give the state that was recorded, or SQLite finds it damaged.
            case wrong
        }

        /// What kind of finding it is.
        package var kind: Kind
        /// The object or generation.
        package var object: String
        /// What is wrong with it.
        package var message: String

        /// A finding.
        package init(_ kind: Kind, _ object: String, _ message: String) {
            self.kind = kind
            self.object = object
            self.message = message
        }
    }

    /// What was found in one generation.
    package struct Report: Sendable {
        /// The generation.
        package let generation: GenerationID
        /// Objects that it has.
        package var objects = 0
        /// Objects that were read.
        package var readObjects = 0
        /// Bytes that were read.
        package var readBytes: UInt64 = 0
        /// What is wrong.
        package var findings: [Finding] = []
        /// Objects that nothing needs: sent again, or somebody else's.
        package var idle: [String] = []
        /// What can be restored of it, with nothing that is damaged.
        package var restorable: [ClosedRange<TXID>] = []
    }

    private let catalog: Catalog
    private let executor: ThreadExecutor
    private let width: Int
    private let memoryBytes: Int
    private let progress: RestoreProgress

    /// A verifier of the store behind `catalog`.
    package init(
        catalog: Catalog,
        executor: ThreadExecutor,
        parallelism: Int,
        memoryBytes: Int,
        progress: RestoreProgress
    ) {
        self.catalog = catalog
        self.executor = executor
        width = max(1, min(parallelism, Limits.maxParallelism))
        self.memoryBytes = memoryBytes
        self.progress = progress
    }

    /// Checks what LIST says of a generation and, with `reads`, every byte of the objects that
    /// `isChosen` names.
    package func verify(
        _ generation: Generation,
        reads: Bool,
        isChosen: (ObjectKey) -> Bool = { _ in true }
    ) async throws -> Report {
        let timeline = try await catalog.timeline(of: generation)
        var report = Report(generation: generation.id)
        let segments = timeline.list.snapshots + timeline.list.levels + timeline.list.logs
        report.objects = segments.count
        checkList(timeline, &report)
        try await checkParent(generation, timeline, &report)
        var damaged = Set(timeline.damaged.map(\.segment.key))
        if reads {
            let chosen = segments.filter { isChosen($0.key) }
            let audits = try await audit(chosen, of: generation, &report)
            for audit in audits {
                if let problem = audit.problem {
                    damaged.insert(audit.segment.key)
                    add(.corrupt, audit.segment.key.path, problem, to: &report)
                }
            }
            for (segment, problem) in Self.contradictions(audits, timeline) {
                damaged.insert(segment.key)
                add(.corrupt, segment.key.path, problem, to: &report)
            }
        }
        report.restorable = Self.restorable(timeline, without: damaged)
        return report
    }

    private func add(
        _ kind: Finding.Kind,
        _ object: String,
        _ message: String,
        to report: inout Report
    ) {
        guard !report.findings.contains(where: { $0.object == object && $0.kind == kind }) else {
            return
        }
        report.findings.append(Finding(kind, object, message))
    }

    // MARK: - What LIST says

    private func checkList(_ timeline: Timeline, _ report: inout Report) {
        let id = timeline.generation.id.text
        if timeline.runs.isEmpty {
            add(.missing, id, "no base: nothing of it can be restored", to: &report)
        }
        for hole in timeline.holes {
            let text = "commits \(hole.lowerBound) to \(hole.upperBound) are missing"
            report.findings.append(Finding(.missing, id, text))
        }
        for fork in timeline.forks { report.findings.append(Finding(.forked, id, fork.message)) }
        for (segment, error) in timeline.damaged {
            add(.corrupt, segment.key.path, "\(error)", to: &report)
        }
        for orphan in timeline.orphans {
            add(.missing, orphan.key.path, "no base leads to its commits", to: &report)
        }
        let least = UInt64(SegmentHeader.encodedSize + SegmentFooter.encodedSize)
        for segment in timeline.list.all where segment.size < least {
            add(.corrupt, segment.key.path, "it is cut off", to: &report)
        }
        report.idle =
            timeline.leftovers.map(\.key.path) + timeline.list.foreign.map(\.key.path)
            + timeline.duplicates.map(\.segment.key.path)
    }

    private func checkParent(
        _ generation: Generation,
        _ timeline: Timeline,
        _ report: inout Report
    ) async throws {
        guard let parent = generation.record.parent,
            timeline.runs.contains(where: \.beginsWithParent)
        else { return }
        do {
            let found = try await catalog.generation(parent.generation)
            let timeline = try await catalog.timeline(of: found)
            if timeline.run(holding: parent.txid) == nil {
                add(
                    .missing,
                    parent.generation.text,
                    "TXID \(parent.txid), which \(generation.id) goes on from, is not there",
                    to: &report
                )
            }
        } catch let error as CatalogError {
            add(.missing, parent.generation.text, "\(error)", to: &report)
        }
    }

    // MARK: - What the objects say

    private func audit(
        _ segments: [StoredSegment],
        of generation: Generation,
        _ report: inout Report
    ) async throws -> [SegmentAudit] {
        progress.begin(.fetching, total: segments.reduce(0) { $0 + $1.size })
        let reader = RangeReader(catalog.store, progress: progress)
        let wholeBytes = UInt64(max(1 << 20, memoryBytes / 2 / width))
        let record = generation.record
        var audits: [SegmentAudit] = []
        try await OrderedTasks.run(segments, width: width, on: executor) { segment in
            try await SegmentAudit.of(
                segment,
                record: record,
                reader: reader,
                wholeBytes: wholeBytes
            )
        } consume: { audit in
            audits.append(audit)
            return true
        }
        report.readObjects += segments.count
        report.readBytes += segments.reduce(0) { $0 + $1.size }
        return audits
    }

    /// Objects that are whole but contradict the ones beside them.
    private static func contradictions(
        _ audits: [SegmentAudit],
        _ timeline: Timeline
    ) -> [(StoredSegment, String)] {
        var layouts: [ObjectKey: SegmentAudit] = [:]
        for audit in audits where audit.problem == nil { layouts[audit.segment.key] = audit }
        var found: [(StoredSegment, String)] = []
        for run in timeline.runs {
            for (before, after) in zip(run.logs, run.logs.dropFirst()) {
                guard let a = layouts[before.key], let b = layouts[after.key],
                    let problem = b.contradiction(after: a)
                else { continue }
                found.append((after, problem))
            }
            for snapshot in run.snapshots {
                guard let state = layouts[snapshot.key]?.footer, let digest = state.digestAfter,
                    let log = run.log(holding: state.maxTXID),
                    let known = layouts[log.key]?.digests[state.maxTXID], known != digest
                else { continue }
                found.append((snapshot, "its digest is not the one that '\(log.key)' records"))
            }
        }
        return found
    }

    /// What the runs of a timeline are good for without some objects.
    static func restorable(
        _ timeline: Timeline,
        without damaged: Set<ObjectKey>
    ) -> [ClosedRange<TXID>] {
        var windows: [ClosedRange<TXID>] = []
        for run in timeline.runs {
            var starts = run.snapshots.filter { !damaged.contains($0.key) }
                .map { (anchor: $0.name.minTXID, served: $0.name.maxTXID) }
            if run.beginsWithParent { starts.insert((run.first, run.first), at: 0) }
            for start in starts {
                var end = start.anchor
                for slice in run.slices where slice.txids.upperBound > end {
                    guard !damaged.contains(slice.segment.key),
                        slice.txids.lowerBound <= end.next
                    else { break }
                    end = slice.txids.upperBound
                }
                guard end >= start.served else { continue }
                if let last = windows.last, start.served <= last.upperBound.next {
                    windows[windows.count - 1] = last.lowerBound...max(last.upperBound, end)
                } else {
                    windows.append(start.served...end)
                }
            }
        }
        return windows
    }
}
