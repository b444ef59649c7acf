package import BackupCatalog
package import Bytes
import ObjectStorage
import SegmentFormat

/// What may be deleted from a store, in the order in which it is safe to.
///
/// Pure: the same listing, rules and time give the same plan. A state stays restorable while it was
/// current within the window, or any state that is needed builds on it; the last state of each
/// database always does. What can no longer be used stays for the grace period. At no point of the
/// deletion is something offered for restore that is not whole: bases go first.
package struct RetentionPlan: Sendable {
    /// The objects to delete, batch after batch: a batch is begun when the one before is gone.
    package private(set) var batches: [[Deletion]] = []
    /// Generations of which nothing is needed, to be closed. They are deleted a grace period later.
    package private(set) var closures: [GenerationID] = []
    /// What is left alone although it looks out of place, and why.
    package private(set) var notes: [RetentionNote] = []
    /// The states that stay restorable, by generation.
    package let needs: [GenerationID: [ClosedRange<TXID>]]

    private let rules: RetentionRules
    private let now: Timestamp
    private let layout: CatalogLayout
    private let closed: Set<GenerationID>
    /// What was there then is known to every restore that is still running.
    private let settled: Timestamp

    /// Whether the store holds no backup at all: the URL may be wrong.
    package let foundNothing: Bool

    /// Every object to delete.
    package var deletions: [Deletion] { batches.flatMap { $0 } }

    /// A plan by `rules`, when the store's clock says `now`.
    ///
    /// `closed` are the generations whose last claim closes them.
    package init(
        _ lineage: LineageGraph,
        layout: CatalogLayout,
        rules: RetentionRules,
        now: Timestamp,
        closed: Set<GenerationID> = []
    ) {
        foundNothing = lineage.ids.isEmpty && lineage.damaged.isEmpty
        self.layout = layout
        self.rules = rules
        self.now = now
        self.closed = closed
        let needed = RetentionNeeds(lineage, rules: rules, now: now)
        settled = needed.settled
        needs = needed.needs
        mayExpire = lineage.damaged.isEmpty && !needs.isEmpty
        noteOddities(of: lineage)
        // Children first, so that none is left behind without its parent.
        for id in lineage.ids.reversed() {
            guard let timeline = lineage[id], !isFrozen(timeline) else { continue }
            if needs[id] == nil, needed.isOver(id), isOld(timeline, needed.cutoff), mayExpire {
                expire(timeline)
            } else {
                deleteUnneeded(of: timeline, cutoff: needed.cutoff)
            }
        }
    }

    /// Whether bases, and what builds on them, may be deleted at all.
    private let mayExpire: Bool

    private mutating func noteOddities(of lineage: LineageGraph) {
        for (id, error) in lineage.damaged {
            notes.append(
                RetentionNote(
                    object: id.text,
                    message: "\(error); nobody knows what it builds on, so no generation and no"
                        + " base is deleted until this folder is repaired or removed"
                )
            )
        }
        for key in lineage.foreign.sorted() {
            notes.append(RetentionNote(object: key, message: "not ours; left alone"))
        }
        for id in lineage.ids {
            guard let timeline = lineage[id] else { continue }
            let record = timeline.generation.record
            if record.created > now {
                notes.append(future(id.text, record.created))
            }
            for segment in timeline.list.all where segment.name.time > now {
                notes.append(future(segment.key.path, segment.name.time))
            }
            for fork in timeline.forks {
                let message = "forked: \(fork.message); nothing of it is deleted"
                notes.append(RetentionNote(object: id.text, message: message))
            }
            for (segment, error) in timeline.damaged {
                let message = "\(error); nothing of generation \(id) is deleted"
                notes.append(RetentionNote(object: segment.key.path, message: message))
            }
        }
    }

    private func future(_ object: String, _ time: Timestamp) -> RetentionNote {
        RetentionNote(
            object: object,
            message: "dated \(time), which is in the future (the store's clock says \(now));"
                + " it is kept, and nothing is deleted because of it"
        )
    }

    /// Generations about which something is unclear are left as they are.
    private func isFrozen(_ timeline: Timeline) -> Bool {
        !timeline.forks.isEmpty || !timeline.damaged.isEmpty
            || timeline.generation.record.created > now
    }

    /// Whether everything in the generation is older than the cutoff, by key and by store.
    private func isOld(_ timeline: Timeline, _ cutoff: Timestamp) -> Bool {
        timeline.generation.record.created <= cutoff
            && timeline.list.all.allSatisfy {
                $0.name.time <= cutoff && ($0.modified ?? now) <= cutoff
            }
    }

    // MARK: - A generation that is over

    private mutating func expire(_ timeline: Timeline) {
        let id = timeline.generation.id
        // A closing claim stops whoever still writes there; it finds it before its next upload.
        guard let claim = timeline.list.claims.last, closed.contains(id) else {
            closures.append(id)
            return
        }
        guard isPast(claim.modified, grace: rules.grace) else {
            let message = "closed; it is deleted when the grace period is over"
            notes.append(RetentionNote(object: id.text, message: message))
            return
        }
        delete(timeline.list.all.map { ($0, .generationExpired) }, of: timeline)
        let claims = timeline.list.claims.map(\.key.path)
        let record = layout.folder(of: id) + CatalogLayout.recordName
        for keys in [claims, [record]] where !keys.isEmpty {
            batches.append(
                keys.map { Deletion(key: $0, size: 0, reason: .generationExpired) }
            )
        }
    }

    private func isPast(_ time: Timestamp?, grace: Int64) -> Bool {
        guard let time else { return false }
        return time.milliseconds + grace <= now.milliseconds
    }

    // MARK: - A generation that goes on

    private mutating func deleteUnneeded(of timeline: Timeline, cutoff: Timestamp) {
        var unneeded: [(StoredSegment, DeletionReason)] = []
        for leftover in timeline.leftovers where isPast(leftover.modified, grace: rules.grace) {
            unneeded.append((leftover, .repeated))
        }
        func isOld(_ segment: StoredSegment) -> Bool {
            segment.name.time <= cutoff && (segment.modified ?? now) <= cutoff
        }
        if mayExpire, let needs = needs[timeline.generation.id] {
            let kept = needs.reduce(into: Set()) { $0.formUnion(used(for: $1, of: timeline)) }
            let inRuns = Set(timeline.runs.flatMap { $0.snapshots + $0.logs + $0.levels })
            unneeded += inRuns.subtracting(kept).map { ($0, .expired) }
            for duplicate in timeline.duplicates
            where inRuns.contains(duplicate.pack) && !kept.contains(duplicate.pack) {
                unneeded.append((duplicate.segment, .expired))
            }
            for segment in timeline.list.snapshots + timeline.list.levels
            where !inRuns.contains(segment) && isOld(segment) {
                unneeded.append((segment, .expired))
            }
            // Beyond the end they may be waiting for an upload that is still on its way.
            let first = timeline.current?.first ?? .zero
            for orphan in timeline.orphans where orphan.name.maxTXID <= first && isOld(orphan) {
                unneeded.append((orphan, .orphan))
            }
        }
        let listed = Set(unneeded.map(\.0))
        for duplicate in timeline.duplicates where !listed.contains(duplicate.segment) {
            guard isPast(duplicate.pack.modified, grace: rules.packGrace) else { continue }
            unneeded.append((duplicate.segment, .packed))
        }
        delete(unneeded, of: timeline)
    }

    /// Everything that a restore of any state in `need` may use.
    private func used(
        for need: ClosedRange<TXID>,
        of timeline: Timeline
    ) -> [StoredSegment] {
        guard let run = timeline.run(holding: need.lowerBound) else { return [] }
        let base = run.base(for: need.lowerBound, since: settled)
        // A snapshot taken in slices needs the log from its first slice on.
        let start = base?.name.minTXID ?? run.first
        let state = base?.name.maxTXID ?? run.first
        var used = base.map { [$0] } ?? []
        used += run.snapshots.filter {
            $0.name.maxTXID > state && $0.name.maxTXID <= need.upperBound
        }
        used += run.slices.filter {
            $0.txids.upperBound > start && $0.txids.lowerBound <= need.upperBound
        }.map(\.segment)
        // Without its first segment nothing would tell that the generation has the parent's state.
        if base == nil, let first = run.slices.first { used.append(first.segment) }
        used += run.levels.filter {
            $0.name.maxTXID > state && $0.name.maxTXID <= need.upperBound
        }
        return used
    }

    /// Adds the objects: first what restores begin with, so that what is left is no longer
    /// offered; then the rest, newest first.
    private mutating func delete(
        _ segments: [(segment: StoredSegment, reason: DeletionReason)],
        of timeline: Timeline
    ) {
        let starts = Set(
            timeline.runs.filter(\.beginsWithParent).compactMap { $0.slices.first?.segment }
        )
        func isStart(_ segment: StoredSegment) -> Bool {
            segment.name.kind == .snapshot || starts.contains(segment)
        }
        let sorted = segments.sorted { a, b in
            let (left, right) = (a.segment.name, b.segment.name)
            return left.maxTXID == right.maxTXID
                ? right.path < left.path : right.maxTXID < left.maxTXID
        }
        let first = sorted.filter { isStart($0.segment) }
        let rest = sorted.filter { !isStart($0.segment) }
        for part in [first, rest] {
            let deletions = part.map {
                Deletion(key: $0.segment.key.path, size: $0.segment.size, reason: $0.reason)
            }
            let size = MaintenanceLimits.keysPerDelete
            for start in stride(from: 0, to: deletions.count, by: size) {
                batches.append(Array(deletions[start..<min(start + size, deletions.count)]))
            }
        }
    }
}
