package import BackupCatalog
package import Bytes
import Glibc
package import ObjectStorage
package import Platform
import SegmentFormat

/// Rebuilds a database file. It appears at the output only whole and proven.
package struct Restorer: Sendable {
    /// The store's catalogue.
    package let catalog: Catalog
    /// Where the database goes.
    package let output: String
    /// Whether a database that is there may be replaced, once the new one is proven.
    package var replaces = false
    /// Requests in flight, and tasks that decode.
    package var parallelism = Limits.defaultParallelism
    /// Memory for pages and objects, in bytes.
    package var memoryBytes = Limits.defaultMemoryBytes
    /// Checks the file before it is published, in a way that this module does not know.
    package var check: (@Sendable (_ path: String) async throws -> Void)?
    /// Takes warnings for the user.
    package var warn: @Sendable (String) -> Void = { _ in }
    /// Where it has come.
    package let progress = RestoreProgress()

    let executor: ThreadExecutor

    /// Files that belong to a database and would spoil another one.
    static let sidecars = ["-wal", "-shm", "-journal"]

    /// What was restored.
    package struct Result: Sendable {
        /// The plan that was carried out.
        package let plan: RestorePlan
        /// When the state's commit was seen.
        package let time: Timestamp?
        /// Its digest, as found in the file.
        package let digest: DatabaseDigest
        /// Pages in the database.
        package let pageCount: UInt32
        /// Bytes that came from the store.
        package let fetchedBytes: UInt64
    }

    /// A restore of what `catalog` describes, on threads of `executor`.
    package init(catalog: Catalog, output: String, executor: ThreadExecutor) {
        self.catalog = catalog
        self.output = output
        self.executor = executor
    }

    /// Refuses an output that would overwrite or mix up something.
    package func checkOutput() throws {
        let folder = FileSystem.folder(of: output)
        guard try FileSystem.status(folder)?.isFolder == true else {
            throw RestoreError(.unsafeOutput, "the output's folder '\(folder)' does not exist")
        }
        guard FileSystem.isAccessible(folder, mode: W_OK | X_OK) else {
            throw RestoreError(
                .accessDenied,
                "this user may not write to the output's folder '\(folder)'; name another one with "
                    + "-o, or run as its owner"
            )
        }
        if let status = try FileSystem.status(output) {
            guard status.isRegularFile else {
                throw RestoreError(.unsafeOutput, "the output '\(output)' is not a regular file")
            }
            guard replaces else {
                throw RestoreError(
                    .unsafeOutput,
                    "the output '\(output)' exists; name another one, or use -force to replace it"
                )
            }
            if let user = try TargetGuard.user(of: output) {
                throw RestoreError(
                    .unsafeOutput,
                    "the output '\(output)' is in use: \(user); stop it, or name another output"
                )
            }
        }
        for suffix in Self.sidecars where !replaces {
            if try FileSystem.status(output + suffix) != nil {
                throw RestoreError(
                    .unsafeOutput,
                    "'\(output)\(suffix)' exists and would spoil the restored database; "
                        + "remove it, or use -force"
                )
            }
        }
    }

    /// Carries out a plan. Nothing is left behind when it fails.
    ///
    /// When an object turns out to be damaged or gone, `replan` is asked for a plan without such
    /// objects.
    package func run(
        _ plan: RestorePlan,
        replan: (Set<ObjectKey>) async throws -> RestorePlan
    ) async throws -> Result {
        try await executor.run { try checkOutput() }
        return try await namingFullDisk {
            let built = try await build(plan, isScratch: false, replan: replan)
            try await prove(built.1)
            try await checkAndPublish(
                built.1.file,
                plan: built.0,
                digest: built.1.digest,
                pageCount: built.1.pageCount
            )
            return result(built.0, built.1)
        }
    }

    /// Says what a full disk is about: it is known only once it is full, as the commits that are
    /// applied may make the database larger than its base.
    func namingFullDisk<T>(_ body: () async throws -> T) async throws -> T {
        do {
            return try await body()
        } catch let error as SystemError where [ENOSPC, EDQUOT, EFBIG].contains(error.number) {
            throw RestoreError(
                .noSpace,
                "'\(output)' does not fit on its disk (\(error)); nothing of it is left there. "
                    + "Make room in '\(FileSystem.folder(of: output))', or choose another folder"
            )
        }
    }

    /// Carries out a plan in a scratch file beside the output, and throws the file away.
    package func rehearse(
        _ plan: RestorePlan,
        replan: (Set<ObjectKey>) async throws -> RestorePlan
    ) async throws -> Result {
        try await executor.run { OutputFile.removeAbandoned(beside: output) }
        return try await namingFullDisk {
            let built = try await build(plan, isScratch: true, replan: replan)
            try await prove(built.1)
            if let check {
                progress.begin(.checking)
                try await check(built.1.file.path)
            }
            return result(built.0, built.1)
        }
    }

    private func result(_ plan: RestorePlan, _ built: DatabaseBuilder.Built) -> Result {
        Result(
            plan: plan,
            time: built.time,
            digest: built.digest,
            pageCount: built.pageCount,
            fetchedBytes: progress.reading.fetched
        )
    }

    /// Lets the user's check look at a proven file, and puts it in the output's place.
    func checkAndPublish(
        _ file: OutputFile,
        plan: RestorePlan,
        digest: DatabaseDigest,
        pageCount: UInt32
    ) async throws {
        if let check {
            progress.begin(.checking)
            try await check(file.path)
        }
        try Task.checkCancellation()
        progress.begin(.publishing)
        let record = plan.generation.record
        let owner = geteuid() == 0 ? (record.file.uid, record.file.gid) : nil
        try await executor.run {
            // Much may have happened since it was first looked at.
            try checkOutput()
            do throws(SystemError) {
                try file.publish(
                    as: output,
                    replacing: replaces,
                    mode: record.file.mode & 0o777,
                    owner: owner
                )
            } catch {
                guard error.number == EEXIST else { throw error }
                throw RestoreError(
                    .unsafeOutput,
                    "'\(output)' was made by somebody else during the restore and was left alone"
                )
            }
            do {
                let hint = RestoreHint(
                    generation: plan.generation.id,
                    txid: plan.txid,
                    digest: digest,
                    pageSize: record.pageSize,
                    pageCount: pageCount
                )
                try HintFile.write(hint, for: output, owner: owner)
            } catch {
                let path = RestoreHint.path(for: output)
                warn("the hint '\(path)' could not be written: \(error)")
            }
        }
    }

    /// Tasks that fetch and decode at a time.
    var width: Int { max(1, min(parallelism, Limits.maxParallelism)) }

    /// What carries out a plan.
    func builder(_ plan: RestorePlan) -> DatabaseBuilder {
        DatabaseBuilder(
            plan: plan,
            reader: RangeReader(catalog.store, progress: progress),
            executor: executor,
            width: width,
            memoryBytes: memoryBytes,
            progress: progress
        )
    }

    /// Builds the state, with other objects where some are damaged or gone.
    private func build(
        _ plan: RestorePlan,
        isScratch: Bool,
        replan: (Set<ObjectKey>) async throws -> RestorePlan
    ) async throws -> (RestorePlan, DatabaseBuilder.Built) {
        var plan = plan
        var excluded: Set<ObjectKey> = []
        while true {
            do {
                var builder = builder(plan)
                builder.isScratch = isScratch
                return (plan, try await builder.build(beside: output))
            } catch {
                guard let key = Blame.object(of: error),
                    plan.objects.contains(where: { $0.key == key }),
                    excluded.insert(key).inserted, excluded.count < Limits.planAttempts
                else { throw error }
                do {
                    plan = try await replan(excluded)
                } catch let refusal {
                    throw Blame.combined(error, refusal)
                }
                warn("\(error); going on without it")
            }
        }
    }

    /// Compares the digest of what was really written with the recorded one.
    private func prove(_ built: DatabaseBuilder.Built) async throws {
        let bytes = UInt64(built.pageCount) * UInt64(built.file.pageSize.bytes)
        progress.begin(.verifying, total: bytes)
        let found = try await built.file.digest(
            pageCount: built.pageCount,
            width: width,
            on: executor,
            progress: progress
        )
        guard found == built.digest else {
            throw RestoreError(.integrity, "'\(output)': the file does not hold what was written")
        }
    }
}

/// Finds which object a failure is about.
enum Blame {
    /// The object that is damaged or gone, when that is what the error says.
    static func object(of error: any Error) -> ObjectKey? {
        switch error {
        case let error as RestoreError:
            error.code == .integrity || error.code == .vanished ? error.object : nil
        case let error as SegmentError: error.object.flatMap { ObjectKey($0) }
        case let error as CatalogError:
            error.code == .damaged ? ObjectKey(error.object) : nil
        default: nil
        }
    }

    /// The first failure, and why there is no other way.
    static func combined(_ error: any Error, _ refusal: any Error) -> any Error {
        guard let refusal = refusal as? RestoreError, refusal.code == .integrity else {
            return error
        }
        return RestoreError(.integrity, "\(error)\n\(refusal)", object: object(of: error))
    }
}
