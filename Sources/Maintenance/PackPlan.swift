package import BackupCatalog
package import Bytes
package import SegmentFormat

/// Log segments and packs of a run that are to become one pack.
package struct PackPlan: Hashable, Sendable {
    /// The objects, each linked to the one before; two or more.
    package let parts: [StoredSegment]

    /// A plan to merge `parts`, which follow each other.
    package init(parts: [StoredSegment]) { self.parts = parts }

    /// The pack's key below its generation's folder.
    package var name: SegmentName {
        SegmentName(
            kind: .pack,
            minTXID: parts[0].name.minTXID,
            maxTXID: parts[parts.count - 1].name.maxTXID,
            time: parts[parts.count - 1].name.time,
            writer: parts[parts.count - 1].name.writer
        )
    }

    /// What to merge of a generation: hour by hour, what was written before the current hour; and
    /// day by day, what was written before yesterday.
    ///
    /// Large objects are left as they are, and what holds too little to be worth it.
    package static func plans(
        for timeline: Timeline,
        now: Timestamp,
        least: Int = 4
    ) -> [PackPlan] {
        guard timeline.forks.isEmpty, timeline.damaged.isEmpty else { return [] }
        let hour = now.milliseconds / Milliseconds.hour * Milliseconds.hour
        let day = now.milliseconds / Milliseconds.day * Milliseconds.day - Milliseconds.day
        var plans: [PackPlan] = []
        for run in timeline.runs {
            var group = Group()
            for slice in run.slices {
                let segment = slice.segment
                let time = segment.name.time.milliseconds
                let bucket =
                    time < day ? time / Milliseconds.day : time / Milliseconds.hour + (1 << 40)
                let isWhole =
                    slice.txids == segment.name.minTXID...segment.name.maxTXID
                let fits = time < hour && segment.size <= MaintenanceLimits.packMemberBytes
                if !isWhole || !fits || !group.takes(segment, bucket) {
                    group.end(into: &plans, least: least)
                }
                if isWhole, fits { group.add(segment, bucket) }
            }
            group.end(into: &plans, least: least)
        }
        return plans
    }

    private struct Group {
        var parts: [StoredSegment] = []
        var bucket: Int64 = 0
        var bytes: UInt64 = 0

        func takes(_ segment: StoredSegment, _ bucket: Int64) -> Bool {
            parts.isEmpty
                || (bucket == self.bucket && parts.count < MaintenanceLimits.packMembers
                    && bytes + segment.size <= MaintenanceLimits.packBytes)
        }

        mutating func add(_ segment: StoredSegment, _ bucket: Int64) {
            parts.append(segment)
            bytes += segment.size
            self.bucket = bucket
        }

        mutating func end(into plans: inout [PackPlan], least: Int) {
            if parts.count >= max(2, least) { plans.append(PackPlan(parts: parts)) }
            self = Group()
        }
    }
}
