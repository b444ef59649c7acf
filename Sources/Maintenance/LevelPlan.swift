package import BackupCatalog
package import Bytes
import SegmentFormat

/// A level that may be worth its bytes: the commits after `start`, up to `end`.
package struct LevelPlan: Hashable, Sendable {
    /// The level.
    package let level: UInt8
    /// The state before the window.
    package let start: TXID
    /// The state at its end.
    package let end: TXID
    /// What a restore fetches without it, in bytes.
    package let skippedBytes: UInt64

    /// The levels of a generation whose windows are over and that are not there yet, lowest first.
    ///
    /// Windows begin and end between objects, so that nothing has to be cut. Those that would spare
    /// a restore next to nothing are left out.
    package static func plans(
        for timeline: Timeline,
        now: Timestamp,
        policy: LevelPolicy
    ) -> [LevelPlan] {
        guard timeline.forks.isEmpty, timeline.damaged.isEmpty else { return [] }
        var plans: [LevelPlan] = []
        for run in timeline.runs {
            for level in 1...UInt8(max(1, min(policy.periods.count, 254))) {
                plans += windows(of: run, level: level, now: now, policy: policy)
            }
        }
        return withoutRepeats(plans).sorted { ($0.level, $0.start) < ($1.level, $1.start) }
    }

    /// Two windows that hold the same commits need one level, the higher one.
    private static func withoutRepeats(_ plans: [LevelPlan]) -> [LevelPlan] {
        var highest: [ClosedRange<TXID>: UInt8] = [:]
        for plan in plans {
            highest[plan.start...plan.end] = max(plan.level, highest[plan.start...plan.end] ?? 0)
        }
        return plans.filter { highest[$0.start...$0.end] == $0.level }
    }

    private static func windows(
        of run: Run,
        level: UInt8,
        now: Timestamp,
        policy: LevelPolicy
    ) -> [LevelPlan] {
        guard Int(level) <= policy.periods.count else { return [] }
        let current = policy.window(of: now, level: level)
        var plans: [LevelPlan] = []
        var slices = run.slices.drop { $0.txids.lowerBound <= run.first }
        while let first = slices.first {
            let window = policy.window(of: first.segment.name.time, level: level)
            let part = slices.prefix {
                policy.window(of: $0.segment.name.time, level: level) == window
            }
            slices = slices.dropFirst(part.count)
            // An agent's levels end a little after their windows.
            let missing = part.drop { slice in
                run.levels.contains {
                    $0.name.level >= level && $0.name.minTXID <= slice.txids.lowerBound
                        && $0.name.maxTXID >= slice.txids.upperBound
                }
            }
            guard window < current, let first = missing.first, let last = missing.last else {
                continue
            }
            let (start, end) = (first.txids.lowerBound.previous, last.txids.upperBound)
            let skipped = run.byteCount(from: start, through: end)
            guard skipped >= policy.leastBytes else { continue }
            plans.append(LevelPlan(level: level, start: start, end: end, skippedBytes: skipped))
        }
        return plans
    }
}

extension Run {
    /// What the cheapest way from one state to another fetches, in bytes.
    fileprivate func byteCount(from start: TXID, through end: TXID) -> UInt64 {
        var part = Run(snapshots: [], first: start, beginsWithParent: true)
        part.slices = slices.filter {
            $0.txids.upperBound > start && $0.txids.lowerBound <= end
        }
        part.levels = levels.filter { $0.name.maxTXID > start && $0.name.maxTXID <= end }
        return part.path(to: end)?.byteCount ?? 0
    }
}
