import BackupCatalog
package import Bytes
package import ObjectStorage
import SegmentFormat

/// Makes plans from what LIST says. Fetches nothing.
package struct RestorePlanner: Sendable {
    /// The line of descent.
    package let lineage: Lineage
    /// Objects that are known to be damaged or gone, and must not be used.
    package var excluded: Set<ObjectKey> = []

    /// A planner of states on `lineage`.
    package init(_ lineage: Lineage) { self.lineage = lineage }

    /// A way from a snapshot to a state.
    private struct Way {
        var base: StoredSegment
        var baseGeneration: GenerationID
        var steps: [PlannedSlice]
    }

    /// The plan for the state after commit `txid`.
    ///
    /// - Throws: `RestoreError` naming the window or the hole, `CatalogError.forked` when two
    ///   histories go on before the target, `noBase`.
    package func plan(for txid: TXID) throws -> RestorePlan {
        guard let index = lineage.members.firstIndex(where: { owns(txid, $0) }) else {
            throw outside(txid)
        }
        let member = lineage.members[index]
        try checkForks(in: member.timeline, before: txid)
        let way = try way(to: txid, in: index)
        let last = way.steps.last?.segment.name ?? way.base.name
        return RestorePlan(
            generation: member.timeline.generation,
            txid: txid,
            time: last.maxTXID == txid ? last.time : nil,
            base: way.base,
            baseGeneration: way.baseGeneration,
            steps: way.steps
        )
    }

    /// The last state that a plan can reach without the excluded objects; nil when none can.
    package func lastState(atOrBelow limit: TXID) -> TXID? {
        var candidates: Set<TXID> = []
        for window in lineage.windows where window.lowerBound <= limit {
            candidates.insert(min(window.upperBound, limit))
        }
        for member in lineage.members {
            for run in member.timeline.runs {
                for slice in run.slices where isExcluded(slice.segment) {
                    candidates.insert(slice.txids.lowerBound.previous)
                }
                for snapshot in run.snapshots { candidates.insert(snapshot.name.maxTXID) }
            }
        }
        return candidates.filter { $0 <= limit }.sorted().last { (try? plan(for: $0)) != nil }
    }

    /// The commits after one state up to another, from the line's log segments alone; nil when they
    /// are not all there.
    package func commits(after first: TXID, through last: TXID) -> [PlannedSlice]? {
        var result: [PlannedSlice] = []
        var end = last
        for (index, member) in lineage.members.enumerated() where owns(end, member) {
            let timeline = member.timeline
            guard let run = timeline.run(holding: end), timeline.forks.isEmpty else { return nil }
            let begin = max(first, member.parent?.txid ?? .zero)
            let id = timeline.generation.id
            guard let part = log(of: run, generation: id, from: begin, through: end) else {
                return nil
            }
            result = part + result
            if begin == first { return result }
            guard index + 1 < lineage.members.count else { return nil }
            end = begin
        }
        return nil
    }

    /// Whether the state at `txid` is this member's to restore: its own commit, or a snapshot that
    /// it has of its parent's state.
    private func owns(_ txid: TXID, _ member: Lineage.Member) -> Bool {
        if member.owns(txid) { return true }
        guard let parent = member.parent, txid == parent.txid,
            lineage.members.last?.timeline.generation.id == member.timeline.generation.id
        else { return false }
        return member.timeline.run(holding: txid) != nil
    }

    private func checkForks(in timeline: Timeline, before txid: TXID) throws(CatalogError) {
        guard let fork = timeline.forks.first(where: { $0.after < txid }) else { return }
        let host = timeline.generation.record.host
        throw CatalogError(
            .forked,
            object: timeline.generation.id.text,
            "\(fork.message) (generation begun on \(host))"
        )
    }

    private func way(to txid: TXID, in index: Int) throws -> Way {
        let timeline = lineage.members[index].timeline
        if let parent = lineage.members[index].parent, txid < parent.txid,
            index + 1 < lineage.members.count
        {
            return try way(to: txid, in: index + 1)
        }
        guard let run = timeline.run(holding: txid) else {
            if timeline.runs.isEmpty { throw noBase(timeline, txid) }
            throw outside(txid, in: timeline)
        }
        let id = timeline.generation.id
        var usable = run
        usable.snapshots.removeAll { isExcluded($0) }
        usable.levels.removeAll { isExcluded($0) }
        usable.slices.removeAll { isExcluded($0.segment) }
        usable.beginsWithParent = false
        // A base of its own needs no parent, which may have expired.
        if let path = usable.path(to: txid), let snapshot = path.snapshot {
            return Way(
                base: snapshot,
                baseGeneration: id,
                steps: steps(of: path, generation: id, from: snapshot.name.minTXID)
            )
        }
        guard run.beginsWithParent, let parent = timeline.generation.record.parent else {
            throw obstacle(in: run, to: txid).map { unusable($0, txid) } ?? noBase(timeline, txid)
        }
        guard index + 1 < lineage.members.count else {
            throw noParent(parent, of: id, txid)
        }
        usable.beginsWithParent = true
        usable.snapshots = []
        try checkForks(in: lineage.members[index + 1].timeline, before: parent.txid)
        var way = try way(to: parent.txid, in: index + 1)
        guard let path = usable.path(to: txid) else {
            throw obstacle(in: run, to: txid).map { unusable($0, txid) } ?? noBase(timeline, txid)
        }
        way.steps += steps(of: path, generation: id, from: parent.txid)
        return way
    }

    /// Why the parent that a state needs cannot be used: it is gone, or cannot be read.
    private func noParent(
        _ parent: GenerationRecord.Parent,
        of id: GenerationID,
        _ txid: TXID
    ) -> any Error {
        let error = lineage.missing?.error
        if (error as? CatalogError)?.code == .nothingFound {
            return RestoreError(
                .outsideWindow,
                "TXID \(txid) needs generation \(parent.generation), which \(id) goes on from and "
                    + "which is not in the store any more; what can be restored: "
                    + lineage.windowText
            )
        }
        return CatalogError(
            .damaged,
            object: parent.generation.text,
            "this generation, which \(id) goes on from, cannot be used"
                + (error.map { ": \($0)" } ?? "")
        )
    }

    /// A path's steps, with the commits that each one is for.
    private func steps(
        of path: RunPath,
        generation: GenerationID,
        from start: TXID
    ) -> [PlannedSlice] {
        var last = start
        return path.steps.map { step in
            defer { last = step.txid }
            return PlannedSlice(
                segment: step.segment,
                generation: generation,
                commits: last.next...step.txid
            )
        }
    }

    private func isExcluded(_ segment: StoredSegment) -> Bool {
        !excluded.isEmpty && excluded.contains(segment.key)
    }

    /// An excluded object that stands in the way.
    private func obstacle(in run: Run, to txid: TXID) -> StoredSegment? {
        let log = run.slices.last {
            isExcluded($0.segment) && $0.txids.lowerBound <= txid
        }
        return log?.segment
            ?? run.snapshots.last { isExcluded($0) && $0.name.maxTXID <= txid }
    }

    /// The log of a run from the state at `from` to `through`, cut by commit; nil where a piece of
    /// it is missing or excluded.
    private func log(
        of run: Run,
        generation: GenerationID,
        from: TXID,
        through: TXID
    ) -> [PlannedSlice]? {
        var slices: [PlannedSlice] = []
        var next = from.next
        for slice in run.slices
        where slice.txids.upperBound > from && slice.txids.lowerBound <= through {
            guard !isExcluded(slice.segment), slice.txids.lowerBound <= next else {
                return nil
            }
            let last = min(slice.txids.upperBound, through)
            guard next <= last else { continue }
            slices.append(
                PlannedSlice(
                    segment: slice.segment,
                    generation: generation,
                    commits: next...last
                )
            )
            next = last.next
        }
        return next > through ? slices : nil
    }

    // MARK: - Refusals

    private func noBase(_ timeline: Timeline, _ txid: TXID) -> CatalogError {
        CatalogError(
            .noBase,
            object: timeline.generation.id.text,
            timeline.runs.isEmpty
                ? "the generation has no complete snapshot; nothing of it can be restored"
                : "no snapshot serves TXID \(txid)"
        )
    }

    private func unusable(_ segment: StoredSegment, _ txid: TXID) -> RestoreError {
        RestoreError(
            .integrity,
            "TXID \(txid) needs '\(segment.key)', which is damaged or gone",
            object: segment.key
        )
    }

    private func outside(_ txid: TXID, in timeline: Timeline? = nil) -> RestoreError {
        for timeline in timeline.map({ [$0] }) ?? lineage.members.map(\.timeline) {
            guard let hole = timeline.holes.first(where: { $0.contains(txid) }) else { continue }
            return RestoreError(
                .hole,
                "TXID \(txid) lies in a hole: commits \(hole.lowerBound) to \(hole.upperBound) are "
                    + "missing in generation \(timeline.generation.id); what can be restored: "
                    + lineage.windowText
            )
        }
        return RestoreError(
            .outsideWindow,
            "TXID \(txid) is outside of what generation \(lineage.tip.generation.id) and its "
                + "ancestors can restore: \(lineage.windowText)"
        )
    }
}
