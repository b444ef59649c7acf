import BackupCatalog
import Bytes
import Glibc
import ObjectStorage
import Platform
import Synchronization
import TestSupport

@testable import Restore

/// Restores from a store into a folder that goes with it.
struct RestoreBench {
    static let executor = ThreadExecutor(threads: 6)

    let store: any ObjectStore
    let folder = TemporaryFolder()
    var parallelism = 4
    var memoryBytes = 1 << 20
    let warnings = Warnings()

    /// What a restore warned of.
    final class Warnings: Sendable {
        private let list = Mutex<[String]>([])
        var all: [String] { list.withLock { $0 } }
        func add(_ text: String) { list.withLock { $0.append(text) } }
    }

    var catalog: Catalog { Catalog(store: store) }
    var output: String { folder.file("out.db") }

    init(_ store: any ObjectStore) { self.store = store }

    /// The plan for a target.
    func plan(
        _ target: RestoreTarget,
        generation: GenerationID? = nil,
        writer: WriterTag? = nil,
        without excluded: Set<ObjectKey> = [],
        now: Timestamp = Timestamp(milliseconds: 2_000_000_000_000)
    ) async throws -> RestorePlan {
        let tip =
            if let generation { try await catalog.generation(generation) } else {
                try await catalog.newestGeneration()
            }
        let lineage = try await Lineage.load(tip, from: catalog, preferring: writer) {
            excluded.isEmpty && TargetResolver.isEnough($0, for: target)
        }
        let resolved = try await TargetResolver(lineage, catalog: catalog, now: now).resolve(target)
        var planner = RestorePlanner(lineage)
        planner.excluded = excluded
        return try planner.plan(for: resolved.txid)
    }

    /// Restores and returns the file's bytes; the file is removed.
    func restore(
        _ target: RestoreTarget,
        generation: GenerationID? = nil,
        writer: WriterTag? = nil
    ) async throws -> [UInt8] {
        let plan = try await plan(target, generation: generation, writer: writer)
        return try await restore(plan)
    }

    func restore(_ plan: RestorePlan) async throws -> [UInt8] {
        var restorer = Restorer(catalog: catalog, output: output, executor: Self.executor)
        restorer.parallelism = parallelism
        restorer.memoryBytes = memoryBytes
        restorer.warn = { [warnings] in warnings.add($0) }
        let txid = plan.txid
        let result = try await restorer.run(plan) { excluded in
            try await self.plan(.txid(txid), without: excluded)
        }
        let bytes = try Self.bytes(of: output)
        precondition(bytes.count == Int(result.pageCount) * plan.generation.record.pageSize.bytes)
        try FileSystem.remove(output)
        try FileSystem.remove(RestoreHint.path(for: output))
        precondition(folder.names.isEmpty, "\(folder.names) left behind")
        return bytes
    }

    static func bytes(of path: String) throws -> [UInt8] {
        let file = try FileDescriptor(path: path, flags: O_RDONLY)
        let size = Int(try file.status().size)
        var bytes = [UInt8](repeating: 0, count: size)
        _ = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        return bytes
    }
}

/// A store that hands out at most `limit` bytes at a time, as a connection that breaks does.
struct StutteringStore: ObjectStore {
    let store: MemoryStore
    let limit: Int

    func get(_ key: ObjectKey, range: Range<UInt64>?) async throws(StoreError) -> [UInt8] {
        Array(try await store.get(key, range: range).prefix(limit))
    }
    func put(_ key: ObjectKey, body: any ObjectBody, ifAbsent: Bool) async throws(StoreError) {
        try await store.put(key, body: body, ifAbsent: ifAbsent)
    }
    func head(_ key: ObjectKey) async throws(StoreError) -> ObjectInfo? {
        try await store.head(key)
    }
    func list(prefix: String, after: String?, limit: Int?) async throws(StoreError) -> [ObjectInfo]
    {
        try await store.list(prefix: prefix, after: after, limit: limit)
    }
    func delete(_ keys: [ObjectKey]) async throws(StoreError) { try await store.delete(keys) }
}
