import ArgumentParser
import BackupCatalog
import Bytes
import ObjectStorage
import Platform
import Restore

/// `highwater restore`.
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Rebuild a database as it was after any commit."
    )

    @OptionGroup var source: StoreOptions

    @Option(name: .short, help: "The file to write.")
    var output: String

    @Option(name: .both("txid"), help: "The state after this commit: 16 hexadecimal digits.")
    var txid: String?

    @Option(name: .both("before-txid"), help: "The state just before this commit.")
    var beforeTXID: String?

    @Option(name: .both("timestamp"), help: "The state at this time: RFC 3339 with a zone.")
    var timestamp: String?

    @Flag(name: .both("force"), help: "Replace the output once the new file is proven.")
    var force = false

    @Flag(name: .both("if-db-not-exists"), help: "Do nothing when the output exists.")
    var ifDatabaseNotExists = false

    @Flag(name: .both("if-replica-exists"), help: "Do nothing when there is no backup.")
    var ifReplicaExists = false

    @Flag(name: .both("dry-run"), help: "Print what would be fetched, and fetch nothing.")
    var dryRun = false

    @Option(name: .both("parallelism"), help: "Accepted; this version fetches one by one.")
    var parallelism = 8

    private struct Report: Encodable {
        var version = 1
        var generation: String
        var txid: String
        var output: String
        var digest: String?
        var pages: UInt32?
        var pageSize: Int?
        var objects: Int
        var bytes: UInt64
        var dryRun: Bool
    }

    private func target() throws -> RestoreTarget {
        guard [txid, beforeTXID, timestamp].filter({ $0 != nil }).count <= 1 else {
            throw ValidationError("Give only one of -txid, -before-txid and -timestamp.")
        }
        if let txid { return .txid(try TXIDArgument.parse(txid)) }
        if let beforeTXID { return .before(try TXIDArgument.parse(beforeTXID)) }
        guard let timestamp else { return .latest }
        guard let time = Timestamp(rfc3339: timestamp) else {
            throw ValidationError(
                "'\(timestamp)' is not a time with a zone, as in 2026-11-24T12:03:00Z."
            )
        }
        return .timestamp(time)
    }

    func validate() throws { _ = try target() }

    func run() async throws {
        if ifDatabaseNotExists, try FileSystem.status(output) != nil {
            StandardError.write("'\(output)' exists, nothing restored\n")
            return
        }
        let catalog = try source.catalog()
        let restorer = Restorer(catalog: catalog, output: output, replaces: force)
        if !dryRun { try restorer.checkOutput() }
        let generation: Generation
        do {
            generation = try await source.chosen(in: catalog)
        } catch let error as CatalogError where error.code == .nothingFound && ifReplicaExists {
            StandardError.write("no backup, nothing restored\n")
            return
        }
        let timeline = try await catalog.timeline(of: generation)
        let plan = try await RestorePlan(target(), timeline: timeline, catalog: catalog)
        var report = Report(
            generation: generation.id.text,
            txid: plan.txid.description,
            output: output,
            objects: plan.logs.count + 1,
            bytes: plan.byteCount,
            dryRun: dryRun
        )
        if !dryRun {
            let result = try await restorer.run(plan)
            report.digest = result.digest.description
            report.pages = result.pageCount
            report.pageSize = result.pageSize.bytes
        }
        if source.json {
            try JSONOutput.print(report)
        } else {
            print(
                "\(dryRun ? "would restore" : "restored") TXID \(report.txid) of generation "
                    + "\(report.generation) to '\(output)' (\(report.objects) objects, "
                    + "\(report.bytes) bytes)"
            )
        }
    }
}
