import ArgumentParser
import BackupCatalog
import Bytes
import Platform
import Restore

/// `highwater history`.
struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "List the commits that can be restored.",
        discussion: """
            With -tables or -table, what each commit changed: then the state before the first \
            commit is rebuilt in a scratch file, and the commits are applied to it one by one.
            """
    )

    @OptionGroup var source: StoreOptions

    @Flag(name: .both("tables"), help: "Say which tables and indexes each commit changed.")
    var tables = false

    @Option(name: .both("table"), help: "Only commits that changed this table or its indexes.")
    var table: String?

    @Option(name: .both("since"), help: "Only commits seen at this time or later.")
    var since: String?

    @Option(name: .both("until"), help: "Only commits seen at this time or earlier.")
    var until: String?

    @Option(name: .both("limit"), help: "Only the last N of them.")
    var limit: Int?

    @Option(name: .both("scratch"), help: "The folder for the scratch file; default: $TMPDIR.")
    var scratch: String?

    @OptionGroup var resources: ResourceOptions

    /// One restorable state.
    private struct Item: Encodable {
        struct Part: Encodable {
            var kind: String
            var name: String
            var table: String?
            var pages: Int
            var overflowPages: Int
        }
        var version = 1
        var generation: String
        var txid: String
        var time: String
        var kind: String
        var pages: UInt32
        var bytes: UInt64
        var databasePages: UInt32
        var databaseBytes: UInt64
        var digest: String?
        var touched: [Part]?
    }

    private func filter() throws -> CommitHistory.Filter {
        var filter = CommitHistory.Filter()
        filter.since = try since.map { try TimeArgument.parse($0, now: .now) }
        filter.until = try until.map { try TimeArgument.parse($0, now: .now) }
        filter.table = table
        filter.findsTables = tables || table != nil
        return filter
    }

    func validate() throws {
        _ = try filter()
        if let limit, limit < 1 { throw ValidationError("The limit is 1 or more.") }
    }

    func run() async throws {
        let executor = resources.executor()
        let command = self
        try await Interruption.run(on: executor) { try await command.list(on: executor) }
    }

    private func list(on executor: ThreadExecutor) async throws {
        let catalog = try source.catalog()
        let generation = try await source.chosen(in: catalog)
        let isAlone = source.generation != nil
        let filter = try filter()
        let lineage = try await Lineage.load(generation, from: catalog) { _ in
            isAlone && !filter.findsTables
        }
        guard !lineage.windows.isEmpty || lineage.tip.current != nil else {
            throw CatalogError(
                .noBase,
                object: generation.id.text,
                "the generation has no complete snapshot; nothing of it can be restored"
            )
        }
        let history = CommitHistory(lineage, catalog: catalog, filter: filter)
        var kept: [CommitHistory.Entry] = []
        var isEmpty = true
        func take(_ entry: CommitHistory.Entry) throws {
            guard !isAlone || entry.generation == generation.id else { return }
            isEmpty = false
            guard let limit else { return try report(entry) }
            kept.append(entry)
            if kept.count > 2 * limit { kept.removeFirst(kept.count - limit) }
        }
        if filter.findsTables {
            var restorer = Restorer(
                catalog: catalog,
                output: "\(scratch ?? ScratchFolder.standard)/highwater-history",
                executor: executor
            )
            try resources.configure(&restorer, on: executor)
            try await history.listTouched(with: restorer, take)
        } else {
            try await history.list(take)
        }
        for entry in kept.suffix(limit ?? 0) { try report(entry) }
        if isEmpty, let table {
            StandardError.write(
                "note: none of these commits changed a table or index named '\(table)'\n"
            )
        }
        for member in lineage.members {
            for hole in member.timeline.holes {
                StandardError.write(
                    "missing: commits \(hole.lowerBound) to \(hole.upperBound) cannot be restored\n"
                )
            }
        }
    }

    private func report(_ entry: CommitHistory.Entry) throws {
        let size = UInt64(entry.pageSize.bytes)
        if source.json {
            return try JSONOutput.print(
                Item(
                    generation: entry.generation.text,
                    txid: entry.txid.description,
                    time: entry.time.description,
                    kind: entry.kind,
                    pages: entry.pages,
                    bytes: UInt64(entry.pages) * size,
                    databasePages: entry.databasePages,
                    databaseBytes: UInt64(entry.databasePages) * size,
                    digest: entry.digest?.description,
                    touched: entry.touched?.map {
                        Item.Part(
                            kind: $0.kind,
                            name: $0.name,
                            table: $0.table.isEmpty ? nil : $0.table,
                            pages: $0.pages,
                            overflowPages: $0.overflowPages
                        )
                    }
                )
            )
        }
        let parts = (entry.touched ?? []).map { part in
            "\(part.name) (\(part.kind == "table" ? "" : part.kind + ", ")\(part.pages))"
        }
        print(
            "\(entry.txid)  \(entry.time)  \(entry.kind)  \(entry.pages) pages  "
                + ProgressReport.size(UInt64(entry.databasePages) * size)
                + (parts.isEmpty ? "" : "  " + parts.joined(separator: ", "))
        )
    }
}
