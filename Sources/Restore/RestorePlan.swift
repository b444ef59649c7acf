package import BackupCatalog
package import Bytes
import SegmentFormat

/// Which state a user wants.
package enum RestoreTarget: Sendable, Hashable {
    /// The last one.
    case latest
    /// The state after this commit.
    case txid(TXID)
    /// The state just before this commit.
    case before(TXID)
    /// The state after the last commit seen at this time or earlier.
    case timestamp(Timestamp)
}

/// What has to be fetched for a state: a snapshot, then whole or partial log segments in order.
/// Holes are found here, before a byte is fetched.
package struct RestorePlan: Sendable {
    /// The generation.
    package let generation: Generation
    /// The state that will be restored.
    package let txid: TXID
    /// Where it begins.
    package let snapshot: StoredSegment
    /// What is applied to it, each commit up to `txid` once.
    package let logs: [StoredSegment]

    /// Bytes of the objects.
    package var byteCount: UInt64 { logs.reduce(snapshot.size) { $0 + $1.size } }

    /// Plans for a target within one generation.
    ///
    /// - Throws: `RestoreError` with the window or the hole named; `CatalogError`, `StoreError`.
    package init(_ target: RestoreTarget, timeline: Timeline, catalog: Catalog) async throws {
        guard let current = timeline.current, let first = timeline.runs.first else {
            throw CatalogError(
                .noBase,
                object: timeline.generation.id.text,
                "the generation has no complete snapshot; nothing of it can be restored"
            )
        }
        let wanted: TXID
        switch target {
        case .latest:
            if let fork = timeline.forks.last {
                throw CatalogError(.forked, object: timeline.generation.id.text, fork.message)
            }
            wanted = current.last
        case .txid(let txid): wanted = txid
        case .before(let txid): wanted = txid.rawValue == 0 ? .zero : txid.previous
        case .timestamp(let time):
            wanted = try await Self.resolve(time, timeline: timeline, catalog: catalog)
        }
        guard let run = timeline.run(holding: wanted) else {
            let window = "\(first.first) to \(current.last)"
            if let hole = timeline.holes.first(where: { $0.contains(wanted) }) {
                throw RestoreError(
                    .hole,
                    "TXID \(wanted) lies in a hole: commits \(hole.lowerBound) to "
                        + "\(hole.upperBound) are missing in generation \(timeline.generation.id)"
                )
            }
            throw RestoreError(
                .outsideWindow,
                "TXID \(wanted) is outside of what generation \(timeline.generation.id) can "
                    + "restore: TXIDs \(window)"
            )
        }
        guard let base = run.snapshots.last(where: { $0.name.maxTXID <= wanted }) else {
            throw CatalogError(
                .noBase,
                object: timeline.generation.id.text,
                "no snapshot serves TXID \(wanted)"
            )
        }
        generation = timeline.generation
        txid = wanted
        snapshot = base
        logs = run.logs.filter {
            $0.name.maxTXID > base.name.maxTXID && $0.name.minTXID <= wanted
        }
    }

    /// The last commit seen at `time` or earlier.
    private static func resolve(
        _ time: Timestamp,
        timeline: Timeline,
        catalog: Catalog
    ) async throws -> TXID {
        let runs = timeline.runs
        guard let first = runs.first?.firstTime, let last = runs.last?.lastTime else {
            throw RestoreError(.outsideWindow, "no state of the generation has a known time")
        }
        guard time >= first, time <= max(last, time) else {
            throw RestoreError(
                .outsideWindow,
                "\(time) is before the first restorable state: the window is \(first) to \(last)"
            )
        }
        for run in runs.reversed() {
            guard let start = run.firstTime, start <= time else { continue }
            var found = run.first
            for log in run.logs where log.name.maxTXID > run.first {
                if log.name.time <= time {
                    found = log.name.maxTXID
                    continue
                }
                let base = run.first
                var inSegment: TXID?
                try await CommitScan(store: catalog.store).commits(of: log) { commit in
                    guard commit.record.seenAt <= time else { return false }
                    if commit.record.txid > base { inSegment = commit.record.txid }
                    return true
                }
                return inSegment ?? found
            }
            return found
        }
        throw RestoreError(.outsideWindow, "\(time) is before the first restorable state, \(first)")
    }
}
