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

    @Test(.timeLimit(.minutes(10)))
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

    @Test(.timeLimit(.minutes(10)))
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

    @Test(.timeLimit(.minutes(10)))
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

    @Test(.timeLimit(.minutes(10)))
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

    @Test(.timeLimit(.minutes(10)))
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

    @Test(.timeLimit(.minutes(10)))
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

    private static func record(
        _ random: UInt32,
        parent: GenerationRecord.Parent? = nil
    ) -> GenerationRecord {
        let now = Timestamp.now
        return GenerationRecord(
            id: GenerationID(time: now, random: random),
            created: now,
            pageSize: PageSize(512)!,
            parent: parent,
            file: .init(name: "a.db", path: "/srv/a.db", mode: 0o644, uid: 0, gid: 0),
            host: "clone",
            highwater: "test",
            sqlite: "3",
            owner: nil
        )
    }

    private static func store(_ record: GenerationRecord, in store: MemoryStore) async throws {
        try await store.put(try CatalogLayout().record(of: record.id), bytes: record.encode())
    }

    @Test func `another agent in the same place is told once`() async throws {
        let store = MemoryStore()
        let told = Mutex<[GenerationID]>([])
        let (old, own, rival) = (Self.record(1), Self.record(2), Self.record(3))
        try await Self.store(old, in: store)
        let ownership = Ownership(store: store, interval: 0, newest: old.id) { generation in
            told.withLock { $0.append(generation.id) }
        }
        ownership.begin(own.id, parent: nil)
        #expect(try await ownership.mayUpload())
        #expect(told.withLock { $0 }.isEmpty)
        try await Self.store(rival, in: store)
        for _ in 0..<2 {
            #expect(try await ownership.mayUpload(), "it has a generation of its own")
            #expect(told.withLock { $0 } == [rival.id])
        }
    }

    @Test func `a parent is somebody's only while it grows`() async throws {
        let store = MemoryStore()
        let parent = Self.record(1)
        let own = Self.record(2, parent: .init(generation: parent.id, txid: TXID(9)))
        try await Self.store(parent, in: store)
        func log(_ first: Int, _ last: Int, _ kind: String = "log") async throws {
            let txids = [first, last].map { TXID(UInt64($0)).description }.joined(separator: "-")
            let key = "highwater-1/\(parent.id)/00/\(txids)-019ab697efd0-0123456789abcdef.\(kind)"
            try await store.put(ObjectKey(key)!, bytes: [])
        }
        let watch = RivalWatch(
            catalog: Catalog(store: store),
            own: own.id,
            parent: own.parent,
            newest: own.id
        )
        try await log(8, 9)
        // An upload that was on its way when its sender died.
        try await log(10, 12)
        #expect(await watch.look().isEmpty)
        // Maintenance of any agent.
        try await log(8, 12, "pack")
        #expect(await watch.look().isEmpty)
        try await log(13, 13)
        #expect(await watch.look().map(\.id) == [parent.id])
        #expect(await watch.look().isEmpty)
    }

    @Test func `a claim that was replaced in a store without conditions is not ours`() async throws
    {
        let store = MemoryStore()
        let generation = GenerationID(time: .now, random: 1)
        let ownerships = [1, 2].map { _ in
            Ownership(store: UnconditionalStore(store), interval: 0)
        }
        try await ownerships[0].claim(generation, writer: WriterTag(1), after: TXID(1))
        // The other one had looked before this claim was there.
        let claim = try CatalogLayout().claim(1, of: generation)
        store.objects[claim] = nil
        try await ownerships[1].claim(generation, writer: WriterTag(2), after: TXID(1))
        try await store.put(try CatalogLayout().record(of: generation), bytes: [])
        #expect(try await !ownerships[0].mayUpload())
        #expect(try await ownerships[1].mayUpload())
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

/// A store that ignores conditions: it looks first, and then writes.
private struct UnconditionalStore: ObjectStore {
    private let store: MemoryStore

    init(_ store: MemoryStore) { self.store = store }

    func put(_ key: ObjectKey, body: any ObjectBody, ifAbsent: Bool) async throws(StoreError) {
        try await store.put(key, body: body, ifAbsent: ifAbsent)
    }

    func get(_ key: ObjectKey, range: Range<UInt64>?) async throws(StoreError) -> [UInt8] {
        try await store.get(key, range: range)
    }

    func head(_ key: ObjectKey) async throws(StoreError) -> ObjectInfo? {
        try await store.head(key)
    }

    func list(
        prefix: String,
        after: String?,
        limit: Int?
    ) async throws(StoreError) -> [ObjectInfo] {
        try await store.list(prefix: prefix, after: after, limit: limit)
    }

    func delete(_ keys: [ObjectKey]) async throws(StoreError) { try await store.delete(keys) }

    func honoursIfAbsent() async throws(StoreError) -> Bool { false }
}
