import ArgumentParser
import BackupCatalog
import Bytes
import Platform
import Restore
import SQLiteAccess
import SegmentFormat

/// `highwater rewind`.
struct RewindCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rewind",
        abstract: "Take a database back to an earlier commit by undoing the commits since.",
        discussion: """
            Downloads log segments only, where every page can be undone; pages that cannot are \
            fetched from older objects. Writes a new file, unless -in-place is given; then the \
            application has to be stopped, and the database is replaced once the new state is \
            proven.
            """
    )

    @Argument(help: "The database's path.")
    var database: String

    @OptionGroup var source: StoreOptions
    @OptionGroup var target: TargetOptions

    @Option(
        name: .short,
        help: "The file to write; default: the database's path with '.rewound' at its end."
    )
    var output: String?

    @Flag(name: .both("in-place"), help: "Replace the database itself.")
    var inPlace = false

    @Flag(name: .both("force"), help: "Replace the output once the new file is proven.")
    var force = false

    @OptionGroup var resources: ResourceOptions

    @OptionGroup var integrity: IntegrityOptions

    func validate() throws {
        guard target.txid != nil || target.beforeTXID != nil || target.timestamp != nil else {
            throw ValidationError("Say where to: -txid, -before-txid or -timestamp.")
        }
        guard !inPlace || output == nil else {
            throw ValidationError("Give either -o or -in-place.")
        }
    }

    private struct Report: Encodable {
        var version = 1
        var event = "result"
        var generation: String
        var txid: String
        var time: String?
        var output: String
        var digest: String
        var pages: UInt32
        var changedPages: Int
        var undonePages: Int
        var fetchedBytes: UInt64
    }

    func run() async throws {
        let executor = resources.executor()
        let command = self
        try await Interruption.run(on: executor) { try await command.rewind(on: executor) }
    }

    private func rewind(on executor: ThreadExecutor) async throws {
        guard let path = try FileSystem.resolve(database) else {
            throw RestoreError(
                .usage,
                "the database '\(database)' does not exist; check the path, or make it from the "
                    + "backup alone with 'highwater restore'"
            )
        }
        let catalog = try source.catalog()
        let goal = inPlace ? path : output ?? database + ".rewound"
        var restorer = Restorer(catalog: catalog, output: goal, executor: executor)
        restorer.replaces = force || inPlace
        try resources.configure(&restorer, on: executor)
        try integrity.configure(&restorer, on: executor)
        try restorer.checkOutput()
        if inPlace { try restorer.refuseChanges(of: path) }
        let found = try await PlannedTarget.find(
            target.target(now: .now),
            of: source.chosen(in: catalog),
            writer: target.writerTag(),
            in: catalog
        )
        for note in found.plan.notes { StandardError.write("note: \(note)\n") }
        var patcher = PatchRestorer(restorer) { copy in
            try await executor.run { try LiveDatabase.copy(path, into: copy) }
        }
        let lineage = try await Lineage.load(
            found.generation,
            from: catalog,
            preferring: found.writer
        ) { $0.members.contains { $0.timeline.generation.id == found.plan.generation.id } }
        patcher.undo = try await UndoPlan(after: found.txid, on: lineage, catalog: catalog)
        let prepared = patcher
        let report = ProgressReport(
            progress: restorer.progress,
            style: ProgressReport.style(json: source.json)
        )
        let result = try await report.run(on: executor) { try await prepared.run(found.plan) }
        try say(result, found, goal)
    }

    private func say(
        _ result: PatchRestorer.Result,
        _ found: PlannedTarget,
        _ goal: String
    ) throws {
        if source.json {
            return try JSONOutput.print(
                Report(
                    generation: found.plan.generation.id.text,
                    txid: found.txid.description,
                    time: result.time?.description,
                    output: goal,
                    digest: result.digest.description,
                    pages: result.pageCount,
                    changedPages: result.changedPages,
                    undonePages: result.undonePages,
                    fetchedBytes: result.fetchedBytes
                )
            )
        }
        print(
            (inPlace ? "'\(database)' is back" : "'\(goal)' is '\(database)'")
                + " at TXID \(found.txid): \(result.changedPages) pages "
                + "changed, \(result.undonePages) of them undone, "
                + "\(result.fetchedBytes) bytes fetched"
        )
    }
}

/// The state of a database that applications may be using.
enum LiveDatabase {
    /// Copies the state as it is now, whatever of it is still in the WAL.
    static func copy(_ path: String, into copy: PatchRestorer.SeedTarget) throws {
        let wal = try FileSystem.status(path + "-wal")
        if wal?.size ?? 0 == 0, try FileSystem.status(path + "-journal") == nil,
            try TargetGuard.user(of: path) == nil
        {
            return try copy.copy(from: path)
        }
        let snapshot = try ReadSnapshot(path: path)
        try pages(of: snapshot) { first, bytes in try copy.write(first, bytes) }
    }

    /// Hands all pages of a state to `body`, a megabyte at a time.
    static func pages(
        of snapshot: ReadSnapshot,
        _ body: (PageNumber, UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let size = snapshot.pageSize.bytes
        let step = max(1, (1 << 20) / size)
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: step * size,
            alignment: 4096
        )
        defer { buffer.deallocate() }
        var first: UInt64 = 1
        while first <= UInt64(snapshot.pageCount) {
            let count = Int(min(UInt64(step), UInt64(snapshot.pageCount) - first + 1))
            for index in 0..<count {
                let page = PageNumber(UInt32(first) + UInt32(index))
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: buffer[index * size..<(index + 1) * size]
                )
                if page == snapshot.pageSize.lockPage {
                    target.initializeMemory(as: UInt8.self, repeating: 0)
                } else {
                    try snapshot.read(page, into: target)
                }
            }
            try body(
                PageNumber(UInt32(first)),
                UnsafeRawBufferPointer(rebasing: buffer[..<(count * size)])
            )
            first += UInt64(count)
        }
    }
}
