import ArgumentParser
import BackupCatalog
import Bytes
import ObjectStorage
import SegmentFormat

/// One segment as `segments` and `snapshots` print it.
private struct SegmentEntry: Encodable {
    var generation: String
    var kind: String
    var level: Int
    var firstTxid: String
    var lastTxid: String
    var time: String
    var writer: String
    var size: UInt64
    var status: String
    var key: String

    init(_ segment: StoredSegment, of generation: GenerationID, status: String) {
        self.generation = generation.text
        kind = segment.name.kind.fileExtension
        level = Int(segment.name.level)
        firstTxid = segment.name.minTXID.description
        lastTxid = segment.name.maxTXID.description
        time = segment.name.time.description
        writer = segment.name.writer.description
        size = segment.size
        self.status = status
        key = segment.key.path
    }

    var line: String {
        "\(kind)  \(firstTxid) to \(lastTxid)  \(time)  \(size) bytes  \(status)  \(key)"
    }
}

extension Timeline {
    /// What each segment is good for, in words.
    fileprivate var statuses: [StoredSegment: String] {
        var statuses: [StoredSegment: String] = [:]
        for run in runs {
            for segment in run.snapshots + run.logs + run.levels { statuses[segment] = "used" }
        }
        for duplicate in duplicates { statuses[duplicate.segment] = "packed" }
        for segment in leftovers { statuses[segment] = "repeated" }
        for segment in orphans { statuses[segment] = "orphan" }
        for (segment, _) in damaged { statuses[segment] = "damaged" }
        return statuses
    }
}

/// `highwater segments`.
struct SegmentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "segments",
        abstract: "List the objects that hold commits: log segments, packs, levels, snapshots."
    )

    @OptionGroup var source: StoreOptions

    private struct Report: Encodable {
        var version = 1
        var segments: [SegmentEntry]
    }

    func run() async throws {
        let catalog = try source.catalog()
        let generation = try await source.chosen(in: catalog)
        let timeline = try await catalog.timeline(of: generation)
        let statuses = timeline.statuses
        let entries = timeline.list.all.map {
            SegmentEntry($0, of: generation.id, status: statuses[$0] ?? "unused")
        }
        if source.json { return try JSONOutput.print(Report(segments: entries)) }
        for entry in entries { print(entry.line) }
    }
}

/// `highwater snapshots`.
struct SnapshotsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshots",
        abstract: "List the snapshots in a store, oldest generation first."
    )

    @OptionGroup var source: StoreOptions

    private struct Report: Encodable {
        var version = 1
        var snapshots: [SegmentEntry]
    }

    func run() async throws {
        let catalog = try source.catalog()
        var generations: [Generation]
        if source.generation == nil {
            let list = try await catalog.generations()
            for (id, error) in list.damaged {
                StandardError.write("generation \(id) is damaged: \(error)\n")
            }
            generations = list.generations
        } else {
            generations = [try await source.chosen(in: catalog)]
        }
        guard !generations.isEmpty else {
            throw CatalogError(
                .nothingFound,
                object: source.url,
                "there is no backup here; check the URL"
            )
        }
        var entries: [SegmentEntry] = []
        for generation in generations {
            let timeline = try await catalog.timeline(of: generation)
            let statuses = timeline.statuses
            entries += timeline.list.snapshots.map {
                SegmentEntry($0, of: generation.id, status: statuses[$0] ?? "unused")
            }
        }
        if source.json { return try JSONOutput.print(Report(snapshots: entries)) }
        for entry in entries {
            print(
                "\(entry.generation)  \(entry.lastTxid)  \(entry.time)  \(entry.size) bytes  "
                    + entry.status
            )
        }
    }
}
