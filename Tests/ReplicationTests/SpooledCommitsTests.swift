import Bytes
import TestSupport
import Testing

@testable import Replication

/// Commits that an earlier process made safe in the spool and did not get to the store.
@Suite struct SpooledCommitsTests {
    @Test func `they are safe, and not durable before the store has them`() throws {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let agent = try SteppedAgent(path: application.path)
        defer { agent.end() }
        let follower = agent.follower
        try agent.settle()
        let stored = ResumePoint(
            txid: follower.txid,
            time: follower.lastSeen,
            position: nil,
            digest: nil,
            pageCount: follower.copier.pageCount,
            pageSize: follower.pageSize,
            link: follower.link
        )
        try application.commit()
        try application.commit()
        try follower.catchUpSafely()
        let spooled = try SpoolRecovery(
            folder: follower.configuration.spoolFolder,
            generation: follower.configuration.generation,
            after: stored
        )
        #expect(spooled.chain.last?.name.maxTXID == follower.txid)

        // A start goes on behind them.
        follower.unsafeSegments = []
        follower.arrived = follower.txid
        try follower.sendSpooled(spooled.chain, in: nil)
        #expect(follower.durableTXID == stored.txid)
        try agent.settle()
        #expect(follower.durableTXID == follower.txid)
        #expect(follower.txid == TXID(stored.txid.rawValue + 2))
    }

    @Test func `a sealed segment is not safe before the spool or the store has it`() throws {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let agent = try SteppedAgent(path: application.path)
        defer { agent.end() }
        let follower = agent.follower
        try agent.settle()
        try application.commit()
        try follower.look()
        try follower.seal()
        #expect(follower.unsafeSegments.count == 1)
        #expect(follower.pins.rules.safe < follower.pins.rules.copied)
        try follower.spoolUnsafe()
        #expect(follower.pins.rules.safe == follower.pins.rules.copied)
    }
}
