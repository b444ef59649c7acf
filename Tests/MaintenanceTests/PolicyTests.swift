import Bytes
import Maintenance
import Testing

/// When snapshots and levels are worth their bytes.
@Suite struct PolicyTests {
    private let hour: Int64 = 3_600_000
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    private func reason(
        size: UInt64? = 1000,
        since: UInt64 = 0,
        ageHours: Int64 = 1,
        changes: Bool = true,
        depth: Int = 0
    ) -> SnapshotPolicy.Reason? {
        SnapshotPolicy().reason(
            SnapshotPolicy.Situation(
                snapshotBytes: size,
                snapshotTime: Timestamp(milliseconds: now.milliseconds - ageHours * hour),
                bytesSince: since,
                hasChanges: changes,
                depth: depth
            ),
            now: now,
            window: 7 * 24 * hour
        )
    }

    @Test func `a snapshot is due by cost, age, depth, or before its parent goes`() {
        #expect(reason() == nil)
        #expect(reason(since: 500) == nil && reason(since: 501) == .cost)
        #expect(reason(ageHours: 24) == nil && reason(ageHours: 25) == .age)
        #expect(reason(ageHours: 1000, changes: false) == nil)
        #expect(reason(size: nil) == .first)
        #expect(reason(size: nil, ageHours: 80, depth: 1) == nil)
        #expect(reason(size: nil, ageHours: 85, depth: 1) == .parentExpires)
        #expect(reason(size: nil, depth: 9) == .depth && reason(size: nil, depth: 8) == nil)
    }

    @Test func `levels have to halve the bytes`() {
        let policy = LevelPolicy()
        #expect(policy.isWorth(levelBytes: 50, skippedBytes: 100))
        #expect(!policy.isWorth(levelBytes: 51, skippedBytes: 100))
    }
}
