import BackupCatalog
package import Bytes
import ObjectStorage
import Platform
import SegmentFormat

/// Makes a state out of a file that holds most of it: a database as it was at another time.
///
/// Pages are compared by their hashes, and only what differs is fetched. The work is done on a
/// copy, which takes the file's place after it was proven.
package struct PatchRestorer: Sendable {
    /// What a restore of the whole would use.
    package var restorer: Restorer
    /// Fills the copy: with the file that is there, or with a live database's pages.
    package var seed: @Sendable (_ copy: SeedTarget) async throws -> Void
    /// The state that the copy begins with, if it is recorded in the store: what may be undone.
    package var undo: UndoPlan?

    /// The copy, while it is filled.
    package struct SeedTarget: Sendable {
        let file: OutputFile

        /// Its path.
        package var path: String { file.path }

        /// Writes pages that follow one another.
        package func write(_ first: PageNumber, _ pages: UnsafeRawBufferPointer) throws {
            try file.write(first, pages)
        }

        /// Copies a whole file, sharing its blocks where the file system can.
        package func copy(from path: String) throws { try file.copy(from: path) }
    }

    /// What was done.
    package struct Result: Sendable {
        /// When the state's commit was seen.
        package let time: Timestamp?
        /// The digest, as found in the file.
        package let digest: DatabaseDigest
        /// Pages in the database.
        package let pageCount: UInt32
        /// Pages that differed.
        package let changedPages: Int
        /// Pages that were undone from log segments alone.
        package let undonePages: Int
        /// Bytes that came from the store.
        package let fetchedBytes: UInt64
    }

    /// A restore of a part.
    package init(
        _ restorer: Restorer,
        seed: @Sendable @escaping (SeedTarget) async throws -> Void
    ) {
        self.restorer = restorer
        self.seed = seed
    }

    /// Carries out a plan.
    package func run(_ plan: RestorePlan) async throws -> Result {
        try await restorer.namingFullDisk { try await carryOut(plan) }
    }

    private func carryOut(_ plan: RestorePlan) async throws -> Result {
        let size = plan.generation.record.pageSize
        let executor = restorer.executor
        let output = restorer.output
        try await executor.run { try restorer.checkOutput() }
        let file = try await executor.run { try OutputFile(beside: output, pageSize: size) }
        try await seed(SeedTarget(file: file))
        let found = try await hashes(of: file)
        if let undo, found.isAligned, undo.digest == found.digest {
            let stage = UndoStage(plan: undo, file: file, restorer: restorer)
            if let undone = try await stage.run(target: plan) {
                return try await finish(plan, file, undone, undone: undone.undonePages)
            }
            // Begin afresh: the copy may be half undone.
            try await executor.run { try file.resize(to: 0) }
            try await seed(SeedTarget(file: file))
        }
        let patched = try await patch(plan, file, found)
        return try await finish(plan, file, patched, undone: 0)
    }

    /// A state that is ready to be proven.
    struct Patched: Sendable {
        var pageCount: UInt32
        var digest: DatabaseDigest?
        var hashes: [UInt64]?
        var time: Timestamp?
        var changedPages: Int
        var undonePages = 0
    }

    /// The hashes of what a file holds.
    struct FileHashes: Sendable {
        var low: [UInt64]
        var digest: DatabaseDigest
        /// Whether the file is a whole number of pages.
        var isAligned: Bool
    }

    private func hashes(of file: OutputFile) async throws -> FileHashes {
        let bytes = try file.byteCount()
        let size = UInt64(file.pageSize.bytes)
        let count = UInt32(clamping: bytes / size)
        restorer.progress.begin(.verifying, total: bytes)
        let (low, digest) = try await file.hashes(
            pageCount: count,
            width: restorer.width,
            on: restorer.executor,
            progress: restorer.progress
        )
        return FileHashes(low: low, digest: digest, isAligned: bytes % size == 0)
    }

    private func patch(
        _ plan: RestorePlan,
        _ file: OutputFile,
        _ found: FileHashes
    ) async throws -> Patched {
        let reader = RangeReader(restorer.catalog.store, progress: restorer.progress)
        let expected = try await ExpectedIndex(
            of: plan,
            reader: reader,
            width: restorer.width,
            on: restorer.executor
        )
        var wanted = PageSet(pageCount: expected.pageCount)
        let lock = Int(file.pageSize.lockPage.rawValue) - 1
        for (index, hash) in expected.hashes.enumerated() where index != lock {
            if index >= found.low.count || found.low[index] != hash {
                wanted.insert(UInt32(index + 1))
            }
        }
        if wanted.count > 0 {
            var builder = restorer.builder(plan)
            builder.wanted = wanted
            _ = try await builder.build(into: file)
        }
        try await restorer.executor.run { try file.clearLockPage(pageCount: expected.pageCount) }
        return Patched(
            pageCount: expected.pageCount,
            digest: expected.digest,
            hashes: expected.hashes,
            time: expected.time,
            changedPages: wanted.count
        )
    }

    /// Proves the copy, and lets it take the output's place.
    private func finish(
        _ plan: RestorePlan,
        _ file: OutputFile,
        _ patched: Patched,
        undone: Int
    ) async throws -> Result {
        try file.resize(to: patched.pageCount)
        let found = try await hashes(of: file)
        var problem = patched.digest.map { $0 != found.digest } ?? false
        if let expected = patched.hashes {
            let lock = Int(file.pageSize.lockPage.rawValue) - 1
            problem =
                problem || found.low.count != expected.count
                || zip(found.low, expected).enumerated().contains {
                    $0.offset != lock && $0.element.0 != $0.element.1
                }
        } else if patched.digest == nil {
            problem = true
        }
        guard !problem else {
            throw RestoreError(
                .integrity,
                "the patched copy of '\(restorer.output)' is not the state of TXID \(plan.txid); "
                    + "restore the whole database instead"
            )
        }
        try await restorer.checkAndPublish(
            file,
            plan: plan,
            digest: found.digest,
            pageCount: patched.pageCount
        )
        return Result(
            time: patched.time,
            digest: found.digest,
            pageCount: patched.pageCount,
            changedPages: patched.changedPages,
            undonePages: undone,
            fetchedBytes: restorer.progress.reading.fetched
        )
    }
}
