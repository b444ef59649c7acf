import Bytes
import Platform
import TestSupport
import Testing

@testable import Replication

@Suite struct RoomMakingTests {
    /// By time: a deadline that has passed leaves time for one. By length: a frame is less than one
    /// commit; then it is not known how many are left.
    @Test(arguments: [4096, 1] as [FrameIndex])
    func `what is copied in pieces is all of it, commit by commit`(_ frames: FrameIndex) throws {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let agent = try SteppedAgent(path: application.path)
        defer { agent.end() }
        let follower = agent.follower
        try agent.settle()
        let start = follower.txid.rawValue
        for _ in 0..<4 { try application.commit() }
        let limit = Follower.CopyLimit(
            frames: frames,
            deadline: MonotonicTime(nanoseconds: frames == 1 ? .max : 0)
        )
        var commits = 0
        while try #require(follower.index.header()).mxFrame > follower.position.frame {
            try follower.look(limit: limit)
            commits += 1
            #expect(commits <= 4)
            if frames == 1 { continue }
            let header = try #require(follower.index.header())
            #expect(follower.txid == TXID(start + UInt64(commits)))
            #expect(follower.lastChange == header.change &- UInt32(4 - commits))
        }
        try agent.settle()
        #expect(follower.durableTXID == TXID(start + 4))
    }

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
