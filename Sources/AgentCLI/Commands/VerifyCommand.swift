import ArgumentParser
import BackupCatalog
import Configuration
import Platform
import Restore
import SQLiteAccess

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

    @OptionGroup var integrity: IntegrityOptions

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
        guard let share = Quantity.thousandths(subset) else {
            throw ValidationError("The subset '\(subset)' is not a share, as in 5%.")
        }
        return share
    }

    func run() async throws {
        let executor = resources.executor()
        let command = self
        try await Interruption.run(on: executor) { try await command.verify(on: executor) }
    }

    private func verify(on executor: ThreadExecutor) async throws {
        let catalog = try source.catalog()
        let check = try check(of: catalog, on: executor)
        let only = source.generation != nil ? try await source.chosen(in: catalog) : nil
        let shown = ProgressReport(
            progress: check.progress,
            style: source.json ? .none : ProgressReport.style(json: false)
        )
        // What is compared with the running database needs no object to be read beforehand.
        let depth = BackupCheck.Level(rawValue: level) ?? .list
        let outcome = try await shown.run(on: executor) { try await check.run(depth, only: only) }
        var report = VerifyReport(level: level, outcome)
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

    private func check(of catalog: Catalog, on executor: ThreadExecutor) throws -> BackupCheck {
        var check = BackupCheck(catalog: catalog, executor: executor)
        check.parallelism = resources.parallelism
        check.memoryBytes = try resources.memoryBytes()
        check.subset = .init(thousandths: try share(), on: .now)
        if let scratch {
            guard try FileSystem.status(scratch)?.isFolder == true else {
                throw RestoreError(
                    .usage,
                    "the folder '\(scratch)' does not exist; name another one with -scratch"
                )
            }
            check.scratchFolder = scratch
        }
        check.checkFile = try integrity.depth(otherwise: .full).map {
            SQLiteCheck.closure($0, on: executor)
        }
        check.warn = ResourceOptions.warn
        return check
    }
}
