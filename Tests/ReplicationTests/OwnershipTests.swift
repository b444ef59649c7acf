import BackupCatalog
import Bytes
import ObjectStorage
import Platform
import TestSupport
import Testing

@testable import Replication

/// Who may go on in a generation (DESIGN §7).
@Suite struct OwnershipTests {
    private static func destination(_ store: MemoryStore) -> Destination {
        Destination(store: store, name: "ownership\(ObjectIdentifier(store).hashValue)")
    }

    private static func generations(_ store: MemoryStore) async throws -> [Generation] {
        try await Catalog(store: store).generations().generations
    }

    private static func claims(_ store: MemoryStore, _ id: GenerationID) async throws -> [UInt64] {
        try await Catalog(store: store).segments(of: id).claims.map(\.number)
    }

    @Test(.timeLimit(.minutes(1)))
    func `a second agent for the same place is refused, for another place it is not`() async throws
    {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let (store, other) = (MemoryStore(), MemoryStore())
        let place = Self.destination(store)
        let first = try FollowerLoopTests.start(application.path, place)
        try await FollowerLoopTests.wait(for: 1, in: store)
        let second = try FollowerLoopTests.start(application.path, place)
        await #expect {
            try await second.task.value
        } throws: { error in
            (error as? ReplicationError)?.code == .ownedByAnother
        }
        let third = try FollowerLoopTests.start(application.path, Self.destination(other))
        try await FollowerLoopTests.wait(for: 1, in: other)
        try await third.stop()
        try await first.stop()
        #expect(try await Self.generations(store).count == 1)
    }

    @Test(.timeLimit(.minutes(1)))
    func `each process that goes on in a generation claims it`() async throws {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let store = MemoryStore()
        for round in 0..<3 {
            let agent = try FollowerLoopTests.start(application.path, Self.destination(store))
            try await FollowerLoopTests.wait(for: UInt64(1 + round), in: store)
            try application.commit()
            try await FollowerLoopTests.wait(for: UInt64(2 + round), in: store)
            try await agent.stop()
        }
        let generations = try await Self.generations(store)
        #expect(generations.count == 1)
        #expect(try await Self.claims(store, generations[0].id) == [1, 2])
    }

    @Test(.timeLimit(.minutes(1)))
    func `whoever finds a newer claim goes on in a child generation`() async throws {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let store = MemoryStore()
        let agent = try FollowerLoopTests.start(
            application.path,
            Self.destination(store),
            claimLookInterval: 0
        )
        try await FollowerLoopTests.wait(for: 1, in: store)
        try application.commit()
        try await FollowerLoopTests.wait(for: 2, in: store)
        let first = try #require(try await Self.generations(store).first)
        let claim = WriterClaim(writer: WriterTag(7), txid: TXID(2), time: .now, host: "clone")
        try await store.put(
            try CatalogLayout().claim(1, of: first.id),
            bytes: claim.encode(),
            ifAbsent: true
        )
        try application.commit()
        while try await Self.generations(store).count < 2 {
            try await Task.sleep(for: .milliseconds(5))
        }
        try await FollowerLoopTests.wait(for: 3, in: store)
        let child = try #require(try await Self.generations(store).last)
        #expect(child.record.parent?.generation == first.id)
        #expect(child.record.parent?.txid == TXID(2))
        #expect(try await Self.claims(store, first.id) == [1], "nothing more was claimed there")
        #expect(try await Catalog(store: store).tip(of: first)?.lastTXID == TXID(2))
        try await agent.stop()
    }

    @Test func `a claim that somebody else made first is not ours`() async throws {
        let store = MemoryStore()
        let generation = GenerationID(time: .now, random: 1)
        store.setHook { $0.operation == .put && $0.number < 2 ? .before(.preconditionFailed) : nil }
        let ownership = Ownership(store: store, interval: 0)
        try await ownership.claim(generation, writer: WriterTag(1), after: TXID(1))
        #expect(try await Catalog(store: store).claims(of: generation).map(\.number) == [1])
    }
}
