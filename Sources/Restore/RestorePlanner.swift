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
        var logs: [PlannedSlice]
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
        let last = way.logs.last?.segment.name ?? way.base.name
        return RestorePlan(
            generation: member.timeline.generation,
            txid: txid,
            time: last.maxTXID == txid ? last.time : nil,
            base: way.base,
            baseGeneration: way.baseGeneration,
            logs: way.logs
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
                for log in run.logs where excluded.contains(log.key) {
                    candidates.insert(log.name.minTXID.previous)
                }
                for snapshot in run.snapshots { candidates.insert(snapshot.name.maxTXID) }
            }
        }
        return candidates.filter { $0 <= limit }.sorted().last { (try? plan(for: $0)) != nil }
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
        guard let run = timeline.run(holding: txid) else {
            if timeline.runs.isEmpty { throw noBase(timeline, txid) }
            throw outside(txid, in: timeline)
        }
        let id = timeline.generation.id
        var blocked: StoredSegment?
        for snapshot in run.snapshots.reversed() where snapshot.name.maxTXID <= txid {
            guard !excluded.contains(snapshot.key) else {
                blocked = snapshot
                continue
            }
            switch slices(of: run, generation: id, from: snapshot.name.minTXID, through: txid) {
            case .success(let logs):
                return Way(base: snapshot, baseGeneration: id, logs: logs)
            case .failure(let failure): blocked = failure.segment
            }
        }
        guard run.beginsWithParent, let parent = timeline.generation.record.parent else {
            throw blocked.map { unusable($0, txid) } ?? noBase(timeline, txid)
        }
        guard index + 1 < lineage.members.count else {
            let reason = lineage.missing.map { ": \($0.error)" } ?? ""
            throw CatalogError(
                .noBase,
                object: parent.generation.text,
                "this generation, which \(id) goes on from, cannot be used\(reason)"
            )
        }
        try checkForks(in: lineage.members[index + 1].timeline, before: parent.txid)
        var way = try way(to: parent.txid, in: index + 1)
        switch slices(of: run, generation: id, from: parent.txid, through: txid) {
        case .success(let logs): way.logs += logs
        case .failure(let failure): throw unusable(failure.segment, txid)
        }
        return way
    }

    private struct Blocked: Error { var segment: StoredSegment }

    /// The log segments of a run that lead from the state at `from` to `through`, cut by commit.
    private func slices(
        of run: Run,
        generation: GenerationID,
        from: TXID,
        through: TXID
    ) -> Result<[PlannedSlice], Blocked> {
        var slices: [PlannedSlice] = []
        var next = from.next
        for log in run.logs where log.name.maxTXID > from && log.name.minTXID <= through {
            guard !excluded.contains(log.key) else { return .failure(Blocked(segment: log)) }
            precondition(log.name.minTXID <= next, "a run has no holes")
            let last = min(log.name.maxTXID, through)
            guard next <= last else { continue }
            slices.append(
                PlannedSlice(segment: log, generation: generation, commits: next...last)
            )
            next = last.next
        }
        precondition(next > through || slices.isEmpty && from >= through, "a run has no holes")
        return .success(slices)
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
