import ArgumentParser
import BackupCatalog
import Bytes
import SegmentFormat

/// `highwater generations`.
struct GenerationsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generations",
        abstract: "List the generations in a store, oldest first."
    )

    @Argument(help: "Where the backup is: file:///absolute/path.")
    var url: String

    @Flag(name: .both("json"), help: "Print JSON.")
    var json = false

    /// One generation.
    private struct Entry: Encodable {
        var id: String
        var created: String
        var host: String
        var path: String
        var firstTxid: String?
        var lastTxid: String?
        var firstTime: String?
        var lastTime: String?
        var segments: Int
        var bytes: UInt64
        var status: String
    }

    private struct Report: Encodable {
        var version = 1
        var generations: [Entry]
    }

    func run() async throws {
        var source = StoreOptions()
        source.url = url
        source.json = json
        source.generation = nil
        let catalog = try source.catalog()
        let list = try await catalog.generations()
        if list.generations.isEmpty, list.damaged.isEmpty {
            throw CatalogError(.nothingFound, object: url, "there is no backup here; check the URL")
        }
        var entries: [Entry] = []
        for generation in list.generations {
            entries.append(try await entry(generation, catalog))
        }
        for (id, error) in list.damaged {
            StandardError.write("generation \(id) is damaged: \(error)\n")
        }
        if json { return try JSONOutput.print(Report(generations: entries)) }
        for entry in entries {
            print(
                "\(entry.id)  \(entry.firstTxid ?? "-") to \(entry.lastTxid ?? "-")  "
                    + "\(entry.firstTime ?? "-") to \(entry.lastTime ?? "-")  "
                    + "\(entry.segments) segments, \(entry.bytes) bytes  \(entry.status)"
            )
        }
    }

    private func entry(_ generation: Generation, _ catalog: Catalog) async throws -> Entry {
        let timeline = try await catalog.timeline(of: generation)
        let segments = timeline.list.logs + timeline.list.snapshots
        let status =
            timeline.current == nil
            ? "no base"
            : timeline.forks.isEmpty ? timeline.holes.isEmpty ? "ok" : "holes" : "forked"
        return Entry(
            id: generation.id.text,
            created: generation.record.created.description,
            host: generation.record.host,
            path: generation.record.file.path,
            firstTxid: timeline.runs.first?.first.description,
            lastTxid: timeline.current?.last.description,
            firstTime: timeline.runs.first?.firstTime?.description,
            lastTime: timeline.current?.lastTime?.description,
            segments: segments.count,
            bytes: segments.reduce(0) { $0 + $1.size },
            status: status
        )
    }
}
