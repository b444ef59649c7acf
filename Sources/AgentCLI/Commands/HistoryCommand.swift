import ArgumentParser
import BackupCatalog
import Bytes
import SegmentFormat

/// `highwater history`.
struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "List the commits that can be restored."
    )

    @OptionGroup var source: StoreOptions

    /// One restorable state.
    private struct Entry: Encodable {
        var version = 1
        var generation: String
        var txid: String
        var time: String
        var kind: String
        var pages: UInt32
        var databasePages: UInt32?
        var digest: String?
    }

    func run() async throws {
        let catalog = try source.catalog()
        let generation = try await source.chosen(in: catalog)
        let timeline = try await catalog.timeline(of: generation)
        guard timeline.current != nil else {
            throw CatalogError(
                .noBase,
                object: generation.id.text,
                "the generation has no complete snapshot; nothing of it can be restored"
            )
        }
        for run in timeline.runs {
            if !run.beginsWithParent, let base = run.snapshots.first {
                let footer = try await SegmentFetcher(base, from: catalog.store).footer()
                try report(
                    Entry(
                        generation: generation.id.text,
                        txid: run.first.description,
                        time: base.name.time.description,
                        kind: "snapshot",
                        pages: footer.pageCountAfter,
                        databasePages: footer.pageCountAfter,
                        digest: footer.digestAfter?.description
                    )
                )
            }
            for log in run.logs where log.name.maxTXID > run.first {
                try await CommitScan(store: catalog.store).commits(of: log) { commit in
                    guard commit.record.txid > run.first else { return true }
                    try report(
                        Entry(
                            generation: generation.id.text,
                            txid: commit.record.txid.description,
                            time: commit.record.seenAt.description,
                            kind: commit.record.isBridge ? "bridge" : "commit",
                            pages: commit.record.entryCount,
                            databasePages: commit.record.pageCount,
                            digest: commit.record.digest?.description
                        )
                    )
                    return true
                }
            }
        }
        for hole in timeline.holes {
            StandardError.write(
                "missing: commits \(hole.lowerBound) to \(hole.upperBound) cannot be restored\n"
            )
        }
    }

    private func report(_ entry: Entry) throws {
        if source.json { return try JSONOutput.print(entry) }
        print("\(entry.txid)  \(entry.time)  \(entry.kind)  \(entry.pages) pages")
    }
}
