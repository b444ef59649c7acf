import BackupCatalog
import Bytes
import Glibc
import ObjectStorage
import Platform
import Synchronization
import TestSupport
import Testing

@testable import Restore

/// What counts as a finding while others store and delete.
@Suite struct BackupCheckTests {
    private func check(_ store: any ObjectStore, _ folder: TemporaryFolder) -> BackupCheck {
        var check = BackupCheck(catalog: Catalog(store: store), executor: RestoreBench.executor)
        check.parallelism = 2
        check.pause = Nanoseconds.millisecond
        check.scratchFolder = folder.path
        return check
    }

    /// Two snapshots, with log before, between and after them.
    private func history(seed: UInt64) async throws -> (SampleHistory, old: [ObjectKey]) {
        var history = SampleHistory(seed: seed)
        try await history.beginGeneration()
        try await history.snapshot()
        for _ in 0..<6 { try await history.log(commits: 2) }
        let old = history.store.objects.keys.filter { !$0.path.hasSuffix(".json") }.sorted()
        try await history.snapshot()
        for _ in 0..<3 { try await history.log(commits: 2) }
        return (history, old)
    }

    @Test func `a whole backup is rebuilt, checked, and leaves no file`() async throws {
        let (history, _) = try await history(seed: 1)
        let folder = TemporaryFolder()
        var check = check(history.store, folder)
        let checked = Mutex<[UInt8]>([])
        check.checkFile = { path in
            let bytes = try RestoreBench.bytes(of: path)
            checked.withLock { $0 = bytes }
        }
        let outcome = try await check.run(.restore)
        #expect(outcome.findings.isEmpty)
        #expect(outcome.restored.map(\.txid) == [history.txid])
        #expect(checked.withLock { $0 } == history.file(at: history.txid))
        #expect(folder.names.isEmpty)
    }

    @Test func `of several databases in one store each one is rebuilt`() async throws {
        let (first, _) = try await history(seed: 3)
        var second = SampleHistory(seed: 4, store: first.store)
        second.clock.milliseconds += 5000
        try await second.beginGeneration(host: "db2")
        try await second.snapshot()
        try await second.log(commits: 2)
        let folder = TemporaryFolder()
        let check = check(first.store, folder)
        let whole = try await check.run(.restore)
        #expect(whole.findings.isEmpty)
        #expect(whole.restored.map(\.generation) == [first.generation, second.generation])
        #expect(whole.restored.map(\.txid) == [first.txid, second.txid])
        // Damage of one is found, and the other one is rebuilt nevertheless.
        let base = first.store.objects.keys.sorted().last { $0.path.contains("/ff/") }!
        first.store.objects[base]![200] ^= 1
        let found = try await check.run(.restore)
        #expect(Set(found.findings.map(\.object)) == [base.path, second.generation.text])
        #expect(found.restored.map(\.generation) == [first.generation])
    }

    @Test func `a file that SQLite finds damaged is a finding, and is removed`() async throws {
        let (history, _) = try await history(seed: 2)
        let folder = TemporaryFolder()
        var check = check(history.store, folder)
        check.checkFile = { _ in throw RestoreError(.integrity, "malformed") }
        let outcome = try await check.run(.restore)
        #expect(outcome.findings == [.init(.wrong, history.generation.text, "malformed")])
        #expect(folder.names.isEmpty)
    }

    @Test func `a scratch file whose process was killed goes with the next one`() async throws {
        let (history, _) = try await history(seed: 9)
        let folder = TemporaryFolder()
        let size = history.pageSize
        let scratch = folder.file("highwater-verify")
        let used = try OutputFile(beside: scratch, pageSize: size, isScratch: true)
        for name in ["highwater-verify.restoring-00", "highwater-verify", "other.restoring-00"] {
            _ = try FileDescriptor(path: folder.file(name), flags: O_WRONLY | O_CREAT)
        }
        #expect(try await check(history.store, folder).run(.restore).findings.isEmpty)
        let left = [used.path, scratch, folder.file("other.restoring-00")]
        #expect(Set(folder.names.map(folder.file)) == Set(left))
    }

    @Test(arguments: BackupCheck.Level.allCases)
    func `each level finds what it looks at`(_ level: BackupCheck.Level) async throws {
        let (history, old) = try await history(seed: 3)
        let folder = TemporaryFolder()
        history.store.objects[old[2]]![200] ^= 1
        let outcome = try await check(history.store, folder).run(level)
        #expect(outcome.findings.map(\.object) == (level == .list ? [] : [old[2].path]))
    }

    @Test func `what a restore has to do without is a finding, read or not`() async throws {
        var history = SampleHistory(seed: 4)
        try await history.beginGeneration()
        try await history.snapshot()
        try await history.log(commits: 2)
        let snapshot = try await history.snapshot()
        try await history.log(commits: 2)
        let bytes = history.store.objects[snapshot]!
        history.store.objects[snapshot]![bytes.count / 2] ^= 1
        let folder = TemporaryFolder()
        var check = check(history.store, folder)
        let keys = history.store.objects.keys
        for day in Int64(0)... {
            let time = Timestamp(milliseconds: day * 86_400_000)
            check.subset = .init(thousandths: 1, on: time)
            if !keys.contains(where: check.subset.contains) { break }
        }
        #expect(try await check.run(.checksum).findings.isEmpty)
        let outcome = try await check.run(.restore)
        #expect(folder.names.isEmpty)
        #expect(outcome.findings.map(\.object) == [snapshot.path])
        #expect(outcome.restored.map(\.txid) == [history.txid])
    }

    @Test(arguments: 1...12)
    func `what retention deletes meanwhile is not missing`(_ request: Int) async throws {
        let (history, old) = try await history(seed: 5)
        // As retention does it: the base first, then the rest, the newest first.
        let bases = old.filter { $0.path.hasSuffix(".snapshot") }
        let batches = [bases, old.filter { !bases.contains($0) }.reversed()]
        let store = ChangingStore(history.store, at: [request, request + 4]) { count, store in
            for key in batches[count] { store.objects[key] = nil }
        }
        let outcome = try await check(store, TemporaryFolder()).run(.checksum)
        #expect(outcome.findings.isEmpty, "\(outcome.findings)")
        #expect(store.changes == 2 || outcome.generations.count == 1)
    }

    @Test func `a log segment that arrives before the one before it makes no hole`() async throws {
        let (history, _) = try await history(seed: 6)
        let late = history.store.objects.keys.filter { $0.path.hasSuffix(".log") }.sorted()[7]
        let bytes = history.store.objects[late]
        history.store.objects[late] = nil
        #expect(try await check(history.store, TemporaryFolder()).run(.list).findings.count == 2)
        let store = ChangingStore(history.store, at: [6]) { _, store in
            store.objects[late] = bytes
        }
        #expect(try await check(store, TemporaryFolder()).run(.list).findings.isEmpty)
        #expect(store.changes == 1)
    }

    @Test func `what somebody else deletes meanwhile is missing`() async throws {
        let (history, old) = try await history(seed: 7)
        let store = ChangingStore(history.store, at: [8]) { _, store in
            store.objects[old[3]] = nil
        }
        let outcome = try await check(store, TemporaryFolder()).run(.checksum)
        #expect(outcome.findings.contains { $0.message.contains("are missing") })
        #expect(!outcome.findings.contains { $0.object == old[3].path })
    }

    @Test func `a store that does not answer, or is empty, is no finding`() async throws {
        let (history, _) = try await history(seed: 8)
        let check = check(history.store, TemporaryFolder())
        history.store.setHook { $0.operation == .list ? .before(.unreachable) : nil }
        await #expect(throws: StoreError.self) { try await check.run(.checksum) }
        history.store.setHook(nil)
        history.store.objects = [:]
        await #expect { try await check.run(.checksum) } throws: {
            ($0 as? CatalogError)?.code == .nothingFound
        }
    }

    @Test(arguments: [1, 50, 333, 1000])
    func `shares take all objects in turn`(_ thousandths: UInt64) throws {
        let keys = try (0..<2000).map { try #require(ObjectKey("highwater-1/x/00/\($0).log")) }
        let days = Int64((1000 + thousandths - 1) / thousandths)
        var read: Set<ObjectKey> = []
        for day in 100..<100 + days {
            let time = Timestamp(milliseconds: day * 86_400_000 + 5)
            let subset = BackupCheck.Subset(thousandths: thousandths, on: time)
            let part = keys.filter(subset.contains)
            #expect(part.count <= 2 * keys.count * Int(thousandths) / 1000 + 20)
            read.formUnion(part)
        }
        #expect(read.count == keys.count)
    }
}

/// A store that others change while it is read: just before the requests with the given numbers.
private final class ChangingStore: ObjectStore {
    private let store: MemoryStore
    private let numbers: [Int]
    private let change: @Sendable (_ count: Int, MemoryStore) -> Void
    private let state = Mutex((requests: 0, changes: 0))

    init(
        _ store: MemoryStore,
        at numbers: [Int],
        change: @Sendable @escaping (Int, MemoryStore) -> Void
    ) {
        self.store = store
        self.numbers = numbers
        self.change = change
    }

    var changes: Int { state.withLock { $0.changes } }

    private func count() {
        let due = state.withLock { state -> Int? in
            state.requests += 1
            guard numbers.contains(state.requests) else { return nil }
            defer { state.changes += 1 }
            return state.changes
        }
        if let due { change(due, store) }
    }

    func get(_ key: ObjectKey, range: Range<UInt64>?) async throws(StoreError) -> [UInt8] {
        count()
        return try await store.get(key, range: range)
    }
    func put(_ key: ObjectKey, body: any ObjectBody, ifAbsent: Bool) async throws(StoreError) {
        try await store.put(key, body: body, ifAbsent: ifAbsent)
    }
    func head(_ key: ObjectKey) async throws(StoreError) -> ObjectInfo? {
        count()
        return try await store.head(key)
    }
    func list(prefix: String, after: String?, limit: Int?) async throws(StoreError) -> [ObjectInfo]
    {
        count()
        return try await store.list(prefix: prefix, after: after, limit: limit)
    }
    func delete(_ keys: [ObjectKey]) async throws(StoreError) { try await store.delete(keys) }
}
