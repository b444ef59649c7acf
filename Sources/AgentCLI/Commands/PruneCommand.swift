import ArgumentParser
import BackupCatalog
import Bytes
import Maintenance
import ObjectStorage
import Platform
import SegmentFormat

/// `highwater prune`.
struct PruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Delete what no restore within the window needs; by default only say what.",
        discussion: """
            Prints the keys that may be deleted, and deletes them with -yes. Needs no agent. The \
            last restorable state of each database always stays.
            """
    )

    @OptionGroup var place: PlaceOptions

    @Option(
        name: .both("retention"),
        help: "Keep every commit of this long: 36h, 7d, 2w."
    )
    var retention = "7d"

    @Option(
        name: .both("grace"),
        help: "Keep what is no longer needed for this long, so that running restores end well."
    )
    var grace = "24h"

    @Flag(name: .both("yes"), help: "Delete; without it nothing is changed.")
    var yes = false

    @Flag(name: .both("delete"), help: "The same as -yes.")
    var delete = false

    @Flag(name: .both("pack"), help: "With -yes: first merge small log segments into packs.")
    var pack = false

    @Flag(
        name: .both("levels"),
        help: "With -yes: also build levels, which make restores shorter, from what is stored."
    )
    var levels = false

    @Flag(name: .both("json"), help: "Print JSON.")
    var json = false

    private struct Entry: Encodable {
        var key: String
        var size: UInt64
        var reason: String
    }

    private struct Note: Encodable {
        var object: String
        var message: String
    }

    private struct Report: Encodable {
        var version = 1
        var deleted: Bool
        var objects: [Entry]
        var bytes: UInt64
        var closedGenerations: [String]
        var packs: [String]
        var levels: [String]
        var notes: [Note]
    }

    func run() async throws {
        let rules = RetentionRules(
            window: try DurationArgument.milliseconds(retention, option: "-retention"),
            grace: try DurationArgument.milliseconds(grace, option: "-grace")
        )
        let catalog = try place.catalog()
        let maintainer = Maintainer(
            catalog: catalog,
            rules: rules,
            writer: WriterTag(.random(in: 0...UInt64.max)),
            host: HostName.current,
            clock: { Timestamp.now }
        )
        var packs: [String] = []
        if (yes || delete) && pack {
            packs = try await maintainer.packAll().map(\.key.path)
        }
        let plan = try await maintainer.plan()
        guard !plan.foundNothing else {
            throw CatalogError(
                .nothingFound,
                object: place.url,
                "there is no backup here; check the URL"
            )
        }
        if yes || delete { try await maintainer.carryOut(plan) }
        var built: [String] = []
        if (yes || delete) && levels {
            built = try await maintainer.levelAll().map(\.key.path)
        }
        try report(plan, packs: packs, levels: built)
    }

    private func report(_ plan: RetentionPlan, packs: [String], levels: [String]) throws {
        let deletions = plan.deletions
        let bytes = deletions.reduce(UInt64(0)) { $0 + $1.size }
        if json {
            return try JSONOutput.print(
                Report(
                    deleted: yes || delete,
                    objects: deletions.map {
                        Entry(key: $0.key, size: $0.size, reason: $0.reason.rawValue)
                    },
                    bytes: bytes,
                    closedGenerations: plan.closures.map(\.text),
                    packs: packs,
                    levels: levels,
                    notes: plan.notes.map { Note(object: $0.object, message: $0.message) }
                )
            )
        }
        for note in plan.notes { StandardError.write("\(note.object): \(note.message)\n") }
        for key in packs + levels { StandardError.write("made \(key)\n") }
        for deletion in deletions { print("\(deletion.key)  \(deletion.reason.rawValue)") }
        for id in plan.closures {
            let what = yes || delete ? "closed" : "would be closed"
            StandardError.write("\(id): \(what); it is deleted after the grace period\n")
        }
        let what = yes || delete ? "deleted" : "would be deleted; give -yes to do it"
        StandardError.write("\(deletions.count) objects, \(bytes) bytes \(what)\n")
    }
}
