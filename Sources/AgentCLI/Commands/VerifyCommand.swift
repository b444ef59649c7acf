import ArgumentParser
import BackupCatalog
import Bytes
import ObjectStorage
import PageHashing
import Platform
import Restore
import SQLiteAccess
import SegmentFormat

/// `highwater verify`.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check that a backup is whole and restores.",
        discussion: """
            Levels: 'list' looks at names only; 'checksum' reads every object; 'restore' also \
            rebuilds the newest state in a scratch file and lets SQLite check it; 'live' compares \
            a running database with the backup. Exit code 7 when anything is missing, damaged or \
            in doubt; what can still be restored is said.
            """
    )

    @OptionGroup var source: StoreOptions

    @Option(name: .both("level"), help: "list, checksum, restore or live.")
    var level = "checksum"

    @Option(name: .both("db"), help: "The running database, for the level 'live'.")
    var database: String?

    @Option(
        name: .both("subset"),
        help: "Read this share of the objects, as in 5%; which ones depends on the day."
    )
    var subset: String?

    @Option(name: .both("scratch"), help: "The folder for the level 'restore'; default: $TMPDIR.")
    var scratch: String?

    @Option(
        name: .both("wait"),
        help: "Level 'live': how long the agent may take to store what is compared, in seconds."
    )
    var wait = 30.0

    @OptionGroup var resources: ResourceOptions

    static let levels = ["list", "checksum", "restore", "live"]

    func validate() throws {
        guard Self.levels.contains(level) else {
            throw ValidationError(
                "The level '\(level)' is none of \(Self.levels.joined(separator: ", "))."
            )
        }
        guard (level == "live") == (database != nil) else {
            throw ValidationError("The level 'live' takes -db PATH, and only that one does.")
        }
        guard wait >= 0, wait <= 86_400 else { throw ValidationError("-wait is 0 to 86400.") }
        _ = try share()
    }

    /// The part of the objects that is read, in thousandths.
    private func share() throws -> UInt64 {
        guard let subset else { return 1000 }
        guard subset.hasSuffix("%"), let percent = Double(subset.dropLast()), percent > 0,
            percent <= 100
        else { throw ValidationError("The subset '\(subset)' is not a share, as in 5%.") }
        return max(1, UInt64(percent * 10))
    }

    func run() async throws {
        let executor = resources.executor()
        let command = self
        try await Interruption.run(on: executor) { try await command.verify(on: executor) }
    }

    private func verify(on executor: ThreadExecutor) async throws {
        let catalog = try source.catalog()
        let progress = RestoreProgress()
        var report = VerifyReport(level: level)
        let chosen = try await generations(catalog, &report)
        let verifier = BackupVerifier(
            catalog: catalog,
            executor: executor,
            parallelism: resources.parallelism,
            memoryBytes: try resources.memoryBytes(),
            progress: progress
        )
        let shown = ProgressReport(
            progress: progress,
            style: source.json ? .none : ProgressReport.style(json: false)
        )
        let (share, day) = (try share(), UInt64(Timestamp.now.milliseconds / 86_400_000))
        let reads = level == "checksum" || level == "restore"
        for generation in chosen {
            let part = try await shown.run(on: executor) {
                try await verifier.verify(generation, reads: reads) { key in
                    // Another part each day, all of them in turn.
                    let number = Checksum64.of(Array(key.path.utf8)) % 1000
                    return (number + day * share) % 1000 < share
                }
            }
            report.add(part)
        }
        if level == "restore" {
            try await rehearse(catalog, on: executor, shown.progress, &report)
        }
        if level == "live", let database {
            let comparison = LiveComparison(
                path: database,
                catalog: catalog,
                generation: try await source.chosen(in: catalog),
                waitNanoseconds: Int64(wait * 1e9)
            )
            report.live = try await comparison.run(on: executor, &report.findings)
        }
        try report.print(json: source.json)
        if !report.findings.isEmpty { throw ExitCode(7) }
    }

    private func generations(
        _ catalog: Catalog,
        _ report: inout VerifyReport
    ) async throws -> [Generation] {
        if source.generation != nil { return [try await source.chosen(in: catalog)] }
        let list = try await catalog.generations()
        guard !list.generations.isEmpty || !list.damaged.isEmpty else {
            throw CatalogError(
                .nothingFound,
                object: source.url,
                "there is no backup here; check the URL"
            )
        }
        for (id, error) in list.damaged {
            report.findings.append(.init(.corrupt, id.text, "\(error)"))
        }
        return list.generations
    }

    /// Restores the newest state into a scratch file.
    private func rehearse(
        _ catalog: Catalog,
        on executor: ThreadExecutor,
        _ progress: RestoreProgress,
        _ report: inout VerifyReport
    ) async throws {
        let folder = scratch ?? ScratchFolder.standard
        var restorer = Restorer(
            catalog: catalog,
            output: "\(folder)/highwater-verify",
            executor: executor
        )
        try resources.configure(&restorer, on: executor)
        if resources.integrityCheck == "none" {
            restorer.check = SQLiteCheck.closure(.full, on: executor)
        }
        do {
            let found = try await PlannedTarget.find(
                .latest,
                of: source.chosen(in: catalog),
                writer: nil,
                in: catalog
            )
            let result = try await restorer.rehearse(found.plan) {
                try await found.again(without: $0)
            }
            report.restored = .init(
                txid: found.txid.description,
                digest: result.digest.description,
                pages: result.pageCount
            )
        } catch  where [6, 7, 8].contains(ErrorReport.exitCode(error) ?? 1) {
            report.findings.append(.init(.wrong, "restore", "\(error)"))
        }
    }
}

/// Where scratch files go.
enum ScratchFolder {
    /// `$TMPDIR`, or `/tmp`.
    static var standard: String { Environment.value("TMPDIR") ?? "/tmp" }
}
