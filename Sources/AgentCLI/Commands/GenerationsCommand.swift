import ArgumentParser
import BackupCatalog
import Bytes
import SegmentFormat

/// `highwater generations`.
struct GenerationsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generations",
        abstract: "List the generations in a store, oldest first, children below their parents.",
        discussion: """
            A generation is one unbroken history. A child goes on from a commit of its parent: \
            its database was restored, copied, or put back.
            """
    )

    @OptionGroup var place: PlaceOptions

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
        var parent: Parent?
    }

    private struct Parent: Encodable {
        var generation: String
        var txid: String
    }

    private struct Report: Encodable {
        var version = 1
        var generations: [Entry]
    }

    func run() async throws {
        let catalog = try place.catalog()
        let list = try await catalog.generations()
        if list.generations.isEmpty, list.damaged.isEmpty {
            throw CatalogError(
                .nothingFound,
                object: place.url,
                "there is no backup here; check the URL"
            )
        }
        var entries: [Entry] = []
        for generation in list.generations {
            entries.append(try await entry(generation, catalog))
        }
        for (id, error) in list.damaged {
            StandardError.write("generation \(id) is damaged: \(error)\n")
        }
        if json { return try JSONOutput.print(Report(generations: entries)) }
        let known = Set(entries.map(\.id))
        for entry in entries {
            // A parent is older than its child, or a hostile store would have us go round.
            let parent = entry.parent?.generation ?? ""
            guard !known.contains(parent) || parent >= entry.id else { continue }
            show(entry, of: entries, below: "", mark: "")
        }
    }

    /// Prints an entry and, below it, the generations that go on from it.
    private func show(_ entry: Entry, of entries: [Entry], below indent: String, mark: String) {
        let origin = entry.parent.map { "  from \($0.generation) at \($0.txid)" } ?? ""
        print(
            "\(indent)\(mark)\(entry.id)  \(entry.firstTxid ?? "-") to \(entry.lastTxid ?? "-")  "
                + "\(entry.firstTime ?? "-") to \(entry.lastTime ?? "-")  "
                + "\(entry.segments) segments, \(entry.bytes) bytes  \(entry.status)\(origin)"
        )
        let inner = indent + (mark.isEmpty ? "" : mark == "└─ " ? "   " : "│  ")
        let children = entries.filter { $0.parent?.generation == entry.id && $0.id > entry.id }
        for child in children {
            let isLast = child.id == children[children.count - 1].id
            show(child, of: entries, below: inner, mark: isLast ? "└─ " : "├─ ")
        }
    }

    private func entry(_ generation: Generation, _ catalog: Catalog) async throws -> Entry {
        let timeline = try await catalog.timeline(of: generation)
        let segments = timeline.list.logs + timeline.list.levels + timeline.list.snapshots
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
            status: status,
            parent: generation.record.parent.map {
                Parent(generation: $0.generation.text, txid: $0.txid.description)
            }
        )
    }
}
