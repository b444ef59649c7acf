package import BackupCatalog
package import Bytes
import Glibc
import Platform
import SegmentFormat

/// Rebuilds a database file. It appears at the output only whole and proven.
package struct Restorer: Sendable {
    /// The store's catalogue.
    package let catalog: Catalog
    /// Where the database goes.
    package let output: String
    /// Whether a database that is there may be replaced, once the new one is proven.
    package let replaces: Bool

    /// Files that belong to a database and would spoil another one.
    static let sidecars = ["-wal", "-shm", "-journal"]

    /// What was restored.
    package struct Result: Sendable {
        /// The state's commit.
        package let txid: TXID
        /// The generation that it is in.
        package let generation: GenerationID
        /// Its digest, as found in the file.
        package let digest: DatabaseDigest
        /// Pages in the database.
        package let pageCount: UInt32
        /// Bytes per page.
        package let pageSize: PageSize
    }

    /// A restore of what `catalog` describes.
    package init(catalog: Catalog, output: String, replaces: Bool) {
        self.catalog = catalog
        self.output = output
        self.replaces = replaces
    }

    /// Refuses an output that would overwrite or mix up something.
    package func checkOutput() throws {
        let folder = FileSystem.folder(of: output)
        guard try FileSystem.status(folder)?.isFolder == true else {
            throw RestoreError(.unsafeOutput, "the output's folder '\(folder)' does not exist")
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
    package func run(_ plan: RestorePlan) async throws -> Result {
        try checkOutput()
        let pageSize = plan.generation.record.pageSize
        let footer = try await SegmentFetcher(plan.snapshot, from: catalog.store).footer()
        let needed = UInt64(footer.pageCountAfter) * UInt64(pageSize.bytes)
        let free = try FileSystem.space(at: FileSystem.folder(of: output)).free
        guard free >= needed else {
            throw RestoreError(
                .noSpace,
                "'\(output)' needs \(needed) bytes, and \(free) are free; make room "
                    + "or name another folder"
            )
        }
        let file = try OutputFile(beside: output, pageSize: pageSize)
        let applier = SegmentApplier(output: file, pageSize: pageSize)
        try await applier.apply(snapshot: plan.snapshot, from: catalog.store)
        for log in plan.logs {
            try await applier.apply(log: log, from: catalog.store, through: plan.txid)
        }
        guard applier.txid == plan.txid else {
            throw RestoreError(.integrity, "the segments end at TXID \(applier.txid)")
        }
        guard try file.digest(pageCount: applier.pageCount) == applier.digest else {
            throw RestoreError(.integrity, "'\(output)': the file does not hold what was written")
        }
        let record = plan.generation.record
        try file.publish(
            as: output,
            mode: record.file.mode & 0o777,
            owner: geteuid() == 0 ? (record.file.uid, record.file.gid) : nil
        )
        return Result(
            txid: plan.txid,
            generation: plan.generation.id,
            digest: applier.digest,
            pageCount: applier.pageCount,
            pageSize: pageSize
        )
    }
}
