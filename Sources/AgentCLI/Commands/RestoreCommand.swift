import ArgumentParser
import BackupCatalog
import Bytes
import Platform
import Restore

/// `highwater restore`.
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Rebuild a database as it was after any commit.",
        discussion: """
            Without a target the newest state is restored. The file appears at the output only \
            when it is whole and its digest is the recorded one. SIGINT or SIGTERM ends a restore \
            with exit code 130 and leaves nothing behind.
            """
    )

    @OptionGroup var source: StoreOptions
    @OptionGroup var target: TargetOptions

    @Option(
        name: .customShort("o"),
        help: "The file to write; the database itself when it was named by its path."
    )
    var output: String?

    @Flag(name: .both("force"), help: "Replace the output once the new file is proven.")
    var force = false

    @Flag(name: .both("if-db-not-exists"), help: "Do nothing when the output exists.")
    var ifDatabaseNotExists = false

    @Flag(
        name: .both("if-replica-exists"),
        help: "Do nothing when the store says that there is no backup."
    )
    var ifReplicaExists = false

    @Flag(
        name: .both("dry-run"),
        help: "Print what would be fetched. What objects hold is not read: see verify."
    )
    var dryRun = false

    @Flag(
        name: .both("delta"),
        help: "Keep what is right in an existing output, and fetch only pages that differ."
    )
    var delta = false

    @OptionGroup var resources: ResourceOptions

    @OptionGroup var integrity: IntegrityOptions

    func validate() throws {
        guard output != "" else { throw ValidationError("The output's name is empty.") }
    }

    func run() async throws {
        guard let path = try output ?? source.place.named().database else {
            throw ValidationError("Name the file to write: -o PATH.")
        }
        if ifDatabaseNotExists, try FileSystem.status(path) != nil {
            return try skip("'\(path)' exists, nothing restored")
        }
        let executor = resources.executor()
        let command = self
        try await Interruption.run(on: executor) {
            try await command.restore(to: path, on: executor)
        }
    }

    private func skip(_ reason: String) throws {
        StandardError.write(reason + "\n")
        if source.json { try JSONOutput.print(RestoreReport.Skipped(reason: reason)) }
    }

    private func restore(to output: String, on executor: ThreadExecutor) async throws {
        let catalog = try source.catalog()
        var restorer = Restorer(catalog: catalog, output: output, executor: executor)
        restorer.replaces = force || delta
        try resources.configure(&restorer, on: executor)
        try integrity.configure(&restorer, on: executor)
        if !dryRun { try restorer.checkOutput() }
        if delta { try restorer.refuseChanges(of: output) }
        let generation: Generation
        do {
            generation = try await source.chosen(in: catalog)
        } catch let error as CatalogError where error.code == .nothingFound && ifReplicaExists {
            return try skip("no backup, nothing restored")
        }
        let found = try await PlannedTarget.find(
            target.target(now: .now),
            of: generation,
            writer: target.writerTag(),
            in: catalog
        )
        for note in found.plan.notes { StandardError.write("note: \(note)\n") }
        if dryRun {
            return try RestoreReport(found.plan, output: output, json: source.json).printPlan()
        }
        let report = ProgressReport(
            progress: restorer.progress,
            style: ProgressReport.style(json: source.json)
        )
        let prepared = restorer
        if delta, try FileSystem.status(output) != nil {
            let patcher = PatchRestorer(restorer) { copy in
                try await executor.run { try copy.copy(from: output) }
            }
            let result = try await report.run(on: executor) { try await patcher.run(found.plan) }
            return try RestoreReport(found.plan, output: output, json: source.json).print(result)
        }
        let result = try await report.run(on: executor) {
            try await prepared.run(found.plan) { try await found.again(without: $0) }
        }
        try RestoreReport(result.plan, output: output, json: source.json).print(result)
    }
}
