import Testing

@testable import Replication

@Suite struct RoomMakingTests {
    @Test func `costs follow what is measured, and few frames say nothing`() {
        var room = RoomMaking()
        let first = room.copyCost
        room.copied(10, in: 1_000_000_000, isAlone: false)
        #expect(room.copyCost == first)
        for _ in 0..<40 { room.copied(1000, in: 50_000_000, isAlone: false) }
        #expect((49_000...50_000).contains(room.copyCost))
        for _ in 0..<40 { room.backfilled(1000, in: 3_000_000) }
        #expect((3_000...3_100).contains(room.backfillCost))
    }

    @Test func `what was measured beside a writer does not count once the lock was held`() {
        var room = RoomMaking()
        for _ in 0..<40 { room.copied(1000, in: 8_000_000, isAlone: true) }
        let alone = room.copyCost
        for _ in 0..<40 { room.copied(1000, in: 60_000_000, isAlone: false) }
        #expect(room.copyCost == alone)
        for _ in 0..<40 { room.copied(1000, in: 20_000_000, isAlone: true) }
        #expect((19_000...20_100).contains(room.copyCost))
    }
}
