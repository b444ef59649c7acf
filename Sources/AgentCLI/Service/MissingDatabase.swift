import BackupCatalog
import Bytes
import Platform
import Replication
import Restore
import Supervision

/// Restores a database that is missing before it is backed up (`-restore-if-db-not-exists`).
struct MissingDatabase: Sendable {
    let path: String
    let executor: ThreadExecutor
    let log: ReplicationLog

    /// Restores the newest state that one of `places` has, if the database is missing.
    ///
    /// - Throws: when a place that may have a newer one cannot be asked and no other has any: the
    ///   application must not begin with an empty database then.
    func restore(from places: [Assignment]) async throws {
        let path = path
        guard try await executor.run({ try FileSystem.status(path) }) == nil else { return }
        var best: PlannedTarget?
        var failure: (any Error)?
        for assignment in places {
            do {
                let found = try await newest(in: assignment)
                if let found, best.map({ Self.time($0) < Self.time(found) }) ?? true {
                    best = found
                }
            } catch {
                log(
                    .error,
                    "a backup cannot be asked for its last state",
                    [("database", path), ("url", "\(assignment.place)"), ("error", "\(error)")]
                )
                failure = failure ?? error
            }
        }
        guard let best else {
            if let failure { throw failure }
            return log(.info, "no backup yet, nothing restored", [("database", path)])
        }
        var restorer = Restorer(catalog: best.catalog, output: path, executor: executor)
        restorer.memoryBytes = ResourceOptions.defaultMemoryBytes(of: Memory.limit)
        let result = try await restorer.run(best.plan) { try await best.again(without: $0) }
        log(
            .info,
            "the missing database was restored",
            [
                ("database", path), ("generation", "\(result.plan.generation.id)"),
                ("txid", "\(best.txid)"),
            ]
        )
    }

    private static func time(_ target: PlannedTarget) -> Int64 {
        target.plan.time?.milliseconds ?? 0
    }

    /// The newest state of a place; nil when there is no backup.
    private func newest(in assignment: Assignment) async throws -> PlannedTarget? {
        let store = try StoreFactory.open(
            assignment.place,
            credentials: assignment.credentials,
            executor: executor
        )
        let catalog = Catalog(store: store)
        do {
            let generation = try await catalog.newestGeneration()
            return try await PlannedTarget.find(.latest, of: generation, writer: nil, in: catalog)
        } catch let error as CatalogError where error.code == .nothingFound {
            return nil
        }
    }
}
