import BackupCatalog
import Bytes
import Glibc
import Platform
import SegmentFormat
import TestSupport
import Testing

@testable import Replication

/// Commits that an earlier process made safe in the spool and did not get to the store.
@Suite struct SpooledCommitsTests {
    /// Where the store's backup ends while everything that was copied is in it.
    private func endOfBackup(_ follower: Follower) -> ResumePoint {
        ResumePoint(
            txid: follower.txid,
            time: follower.lastSeen,
            position: nil,
            digest: nil,
            pageCount: follower.copier.pageCount,
            pageSize: follower.pageSize,
            link: follower.link
        )
    }

    /// What a start finds in the follower's spool.
    private func recovered(_ follower: Follower, after end: ResumePoint) throws -> SpoolRecovery {
        try SpoolRecovery(
            folder: follower.configuration.spoolFolder,
            generation: follower.configuration.generation,
            after: end
        )
    }

    @Test func `they are safe, and not durable before the store has them`() throws {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let agent = try SteppedAgent(path: application.path)
        defer { agent.end() }
        let follower = agent.follower
        try agent.settle()
        let stored = endOfBackup(follower)
        try application.commit()
        try application.commit()
        try follower.catchUpSafely()
        let spooled = try recovered(follower, after: stored)
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

    @Test func `those of a generation that was left are no commits of the new one`() throws {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let agent = try SteppedAgent(path: application.path)
        defer { agent.end() }
        let follower = agent.follower
        try agent.settle()
        let before = follower.txid
        let stored = endOfBackup(follower)
        for _ in 0..<3 { try application.commit() }
        try follower.catchUpSafely()
        let spooled = try recovered(follower, after: stored)
        #expect(spooled.chain.last?.name.maxTXID == follower.txid)

        // The database is back at the state before them, and goes on from there elsewhere.
        follower.unsafeSegments = []
        follower.txid = before
        let left = GenerationID(time: Timestamp(milliseconds: 0), random: 1)
        try follower.sendSpooled(spooled.chain, in: left)
        #expect(follower.unsafeSegments.allSatisfy { $0.txid == before })
        #expect(follower.durableTXID == before)
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

    /// A log segment of one commit in the spool, which changes nothing. Returns its checksum.
    private func spool(
        _ txid: UInt64,
        after link: SegmentChecksum?,
        in folder: String,
        _ generation: GenerationID
    ) throws -> SegmentChecksum {
        let header = SegmentHeader(
            kind: .log,
            pageSize: PageSize(512)!,
            minTXID: TXID(txid),
            writer: WriterTag(1),
            link: link,
            pageCountBefore: 3,
            generation: generation
        )
        let encoder = try LogSegmentEncoder(header: header)
        let time = Timestamp(milliseconds: 1000)
        try encoder.endCommit(
            CommitRecord(
                txid: TXID(txid),
                pageCount: 3,
                digest: nil,
                notSeenAt: time,
                seenAt: time
            )
        )
        let finished = try encoder.finish(position: nil)
        let file = try FileDescriptor(
            path: "\(folder)/\(finished.name.fileName)",
            flags: O_WRONLY | O_CREAT,
            mode: 0o600
        )
        try file.write(encoder.takeOutput(), at: 0)
        return finished.footer.checksum
    }

    @Test func `what does not go on from the store's last commit is not sent`() throws {
        let folder = TemporaryFolder()
        let generation = GenerationID(time: Timestamp(milliseconds: 0), random: 1)
        let place = folder.file("\(generation)")
        try FileSystem.makeFolder(place)
        let stored = SegmentChecksum(low: 1, high: 2)
        let tip = ResumePoint(
            txid: TXID(1),
            time: Timestamp(milliseconds: 0),
            position: nil,
            digest: nil,
            pageCount: 3,
            pageSize: PageSize(512)!,
            link: stored
        )
        let second = try spool(2, after: stored, in: place, generation)
        let third = try spool(3, after: second, in: place, generation)
        // Linked as if nothing lay between, and with the right TXID after something else.
        _ = try spool(5, after: third, in: place, generation)
        var spooled = try SpoolRecovery(folder: folder.path, generation: generation, after: tip)
        #expect(spooled.chain.map(\.name.minTXID) == [TXID(2), TXID(3)])
        #expect(spooled.unlinked.map(\.minTXID) == [TXID(5)])
        _ = try spool(4, after: second, in: place, generation)
        spooled = try SpoolRecovery(folder: folder.path, generation: generation, after: tip)
        #expect(spooled.chain.map(\.name.minTXID) == [TXID(2), TXID(3)])
        #expect(spooled.unlinked.map(\.minTXID) == [TXID(4), TXID(5)])
    }
}
