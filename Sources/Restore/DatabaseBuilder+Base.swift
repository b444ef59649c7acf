import BackupCatalog
import Bytes
import SegmentFormat

/// The pages before the first commit: the snapshot's, and those of levels upon it.
extension DatabaseBuilder {
    /// A level whose index was read.
    struct OpenLevel: Sendable {
        var open: OpenSegment
        var index: LevelIndex
    }

    /// The levels that are applied before any commit.
    func openLevels(after base: OpenSegment) async throws -> [OpenLevel] {
        var levels: [OpenLevel] = []
        var before = base.layout.footer
        for slice in plan.steps.prefix(while: { $0.isLevel }) {
            let open = try await OpenSegment(
                slice.segment,
                generation: slice.generation,
                pageSize: pageSize,
                reader: reader
            )
            let header = open.layout.header
            guard header.minTXID.previous <= before.maxTXID else {
                throw open.damaged("it begins after the state that it is applied to")
            }
            if header.minTXID.previous == before.maxTXID, let digest = before.digestAfter {
                guard header.digestBefore == digest,
                    header.pageCountBefore == before.pageCountAfter
                else { throw open.damaged("it goes on from another state") }
            }
            levels.append(OpenLevel(open: open, index: try await LevelIndex(open)))
            before = open.layout.footer
        }
        return levels
    }

    /// Writes the pages of the snapshot and of the levels upon it, each page from the last of them
    /// that holds it, and returns the digest of the state.
    func writePages(
        _ base: OpenSegment,
        _ levels: [OpenLevel],
        changed: PageSet?,
        file: OutputFile,
        cache: PageCache
    ) async throws -> DatabaseDigest {
        let layouts = [base.layout] + levels.map(\.open.layout)
        let most = layouts.map { max($0.header.pageCountBefore, $0.footer.pageCountAfter) }.max()
        var skipped: PageSet?
        var digest = DatabaseDigest.zero
        // From the last one back, so that each knows which of its pages come later again.
        for level in levels.reversed() {
            let stage = stage(level.open, level.index, changed, skipped, file, cache)
            digest = digest &+ (try await stage.run())
            var pages = skipped ?? PageSet(pageCount: most ?? 0)
            for entry in level.index.entries { pages.insert(entry.page.rawValue) }
            // Upon a state within its window a level also ends pages of which it knows nothing:
            // they came and went in it.
            let end = level.open.layout.footer.pageCountAfter
            if let most, most > end { for page in (end + 1)...most { pages.insert(page) } }
            skipped = pages
        }
        digest = digest &+ (try await stage(base, nil, changed, skipped, file, cache).run())
        guard wanted == nil else { return digest }
        if let last = levels.last?.open {
            guard digest == last.layout.footer.digestAfter else {
                throw last.damaged("the state at its end has another digest than recorded")
            }
        } else if base.layout.header.minTXID == base.layout.footer.maxTXID {
            guard digest == base.layout.footer.digestAfter else {
                throw base.damaged("its pages do not have the recorded digest")
            }
        }
        return digest
    }

    private func stage(
        _ source: OpenSegment,
        _ level: LevelIndex?,
        _ changed: PageSet?,
        _ skipped: PageSet?,
        _ file: OutputFile,
        _ cache: PageCache
    ) -> PageStage {
        PageStage(
            source: source,
            level: level,
            file: file,
            cache: cache,
            changed: changed,
            wanted: wanted,
            skipped: skipped,
            width: width,
            chunkBytes: UInt64(max(1, min(Int(Limits.requestBytes), memoryBytes / 8 / width))),
            executor: executor
        )
    }
}
