import BackupCatalog
import Bytes
import Glibc
import ObjectStorage
import Platform
import Restore
import Synchronization
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

    private static func make(_ path: String, like source: String? = nil) throws {
        let file = try FileDescriptor(path: path, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o644)
        guard let source else { return }
        try FileSystem.copyContent(of: FileDescriptor(path: source, flags: O_RDONLY), to: file)
    }

    @Test func `a file in another one's place is not its owner, whatever its inode`() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.db")
        let local = LocalState(databasePath: path)
        let log: ReplicationLog = { _, _, _ in }
        try Self.make(path)
        let status = try #require(try FileSystem.status(path))
        let first = local.ownerToken(of: status, path: path, log: log)
        #expect(local.ownerToken(of: status, path: path, log: log) == first)
        try FileSystem.remove(path)
        try Self.make(path)
        // The inode that the first file had, as it often is.
        let second = local.ownerToken(of: status, path: path, log: log)
        #expect(second != first || FileSystem.birth(of: path) == nil)
    }

    @Test(.timeLimit(.minutes(1)))
    func `a generation that another file went on from is left to restores`() async throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.db")
        let store = MemoryStore()
        func follow(until txid: UInt64, generations: Int) async throws {
            let application = try SampleApplication(path: path)
            let agent = try FollowerLoopTests.start(path, Self.destination(store))
            if txid == 2 { try await FollowerLoopTests.wait(for: 1, in: store) }
            try application.commit()
            while try await Self.generations(store).count < generations {
                try await Task.sleep(for: .milliseconds(5))
            }
            try await FollowerLoopTests.wait(for: txid, in: store)
            try await agent.stop()
        }
        try await follow(until: 2, generations: 1)
        // Another file takes its place, and later the first one comes back.
        try Self.make(path + ".other", like: path)
        try FileSystem.rename(path, to: path + ".first")
        try FileSystem.rename(path + ".other", to: path)
        try await follow(until: 3, generations: 2)
        try FileSystem.rename(path + ".first", to: path)
        try await follow(until: 3, generations: 3)
        let found = try await Self.generations(store).sorted { $0.id < $1.id }
        // None of them has commits after the one that the next one goes on from.
        #expect(found.map(\.record.parent?.generation) == [nil, found[0].id, found[0].id])
        let newest = try await Catalog(store: store).newestGeneration()
        #expect(newest.id == found.last?.id)
    }

    @Test(.timeLimit(.minutes(1)))
    func `a commit that stands for lost ones says so`() async throws {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let store = MemoryStore()
        for txid in [1, 2] as [UInt64] {
            let agent = try FollowerLoopTests.start(application.path, Self.destination(store))
            try await FollowerLoopTests.wait(for: txid, in: store)
            try await agent.stop()
            // Two commits that no agent sees, and no WAL holds.
            try application.commit(2)
            try application.truncateWAL()
            try application.commit()
            try application.truncateWAL()
        }
        let catalog = Catalog(store: store)
        let lineage = try await Lineage.load(try await catalog.newestGeneration(), from: catalog)
        let kinds = Mutex<[TXID: String]>([:])
        try await CommitHistory(lineage, catalog: catalog, filter: .init()).list { commit in
            kinds.withLock { $0[commit.txid] = commit.kind }
        }
        #expect(kinds.withLock { $0[TXID(2)] } == "bridge")
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

    @Test(.timeLimit(.minutes(1)))
    func `nothing is added to a generation that was deleted`() async throws {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let store = MemoryStore()
        let place = Self.destination(store)
        let agent = try FollowerLoopTests.start(application.path, place, claimLookInterval: 0)
        try await FollowerLoopTests.wait(for: 1, in: store)
        try application.commit()
        try await FollowerLoopTests.wait(for: 2, in: store)
        let first = try #require(try await Self.generations(store).first)
        try await store.delete(try await store.list(prefix: "").map(\.key))
        try application.commit()
        try await FollowerLoopTests.wait(for: 1, in: store)
        try application.commit()
        try await FollowerLoopTests.wait(for: 2, in: store)
        try await agent.stop()
        let second = try #require(try await Self.generations(store).first)
        #expect(second.id > first.id && second.record.parent == nil)
        let old = try CatalogLayout().record(of: first.id).path.dropLast("generation.json".count)
        #expect(try await store.list(prefix: String(old)).isEmpty)
    }

    @Test func `a child does not begin once the state is gone that it goes on from`() async throws {
        let store = MemoryStore()
        let parent = GenerationID(time: .now, random: 1)
        for interval in [0, Limits.claimLookInterval] {
            let ownership = Ownership(store: store, interval: interval)
            ownership.begin(
                GenerationID(time: .now, random: 2),
                parent: GenerationRecord.Parent(generation: parent, txid: TXID(3))
            )
            // It was there a moment ago.
            #expect(try await ownership.mayUpload() == (interval > 0))
            #expect(ownership.refusal == (interval > 0 ? nil : .gone))
        }
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
