import Bytes
import PageHashing
import SegmentFormat
import TestSupport

/// Packs and levels of small databases.
enum MergedSample {
    /// Log segments that follow each other, and the database before and after them.
    struct Chain {
        var before: SampleDatabase
        var after: SampleDatabase
        var logs: [[UInt8]] = []
        var commits: [SampleCommit] = []
        /// The database after each commit.
        var states: [SampleDatabase] = []
        var finished: [FinishedSegment] = []
    }

    /// A chain with growth, shrinking, commits without a page, and unknown digests.
    static func chain(
        seed: UInt64,
        segments: Int = 3,
        pageCount: Int = 4,
        link: SegmentChecksum? = SegmentChecksum(low: 5, high: 6)
    ) throws -> Chain {
        var random = SeededGenerator(seed: seed)
        var database = SampleDatabase(
            pageSize: 512,
            pageCount: pageCount,
            txid: 9,
            using: &random
        )
        var chain = Chain(before: database, after: database)
        var link = link
        for number in 0..<segments {
            var header = Sample.logHeader(after: database, link: link)
            header.writer = WriterTag(Sample.writer.rawValue + UInt64(number / 2))
            var commits: [SampleCommit] = []
            for index in 0...(number % 3) {
                commits.append(
                    database.commit(
                        changing: (number + index) % 4,
                        resize: [1, 0, -1, 2, -2][(number + index) % 5],
                        knowsDigest: index == number % 3,
                        using: &random
                    )
                )
                chain.states.append(database)
            }
            let (bytes, finished) = try Sample.encode(commits, header: header)
            chain.logs.append(bytes)
            chain.commits += commits
            chain.finished.append(finished)
            link = finished.footer.checksum
        }
        chain.after = database
        return chain
    }

    static func pack(of logs: [[UInt8]]) throws -> (bytes: [UInt8], finished: FinishedSegment) {
        let first = try SegmentLayout(segment: logs[0]).header
        let last = try SegmentLayout(segment: logs[logs.count - 1]).header
        let encoder = try PackEncoder(first: first, lastWriter: last.writer)
        var bytes: [UInt8] = []
        for log in logs {
            try encoder.append(log)
            bytes += encoder.takeOutput()
        }
        let finished = try encoder.finish()
        return (bytes + encoder.takeOutput(), finished)
    }

    static func pack() throws -> [UInt8] { try pack(of: chain(seed: 1, segments: 2).logs).bytes }

    static func hash(_ database: SampleDatabase, _ page: Int) -> UInt64? {
        page <= database.pages.count
            ? SampleDatabase.hash(database.pages[page - 1], page).low : nil
    }

    static func header(
        from before: SampleDatabase,
        level: UInt8 = 1
    ) -> SegmentHeader {
        SegmentHeader(
            kind: .level,
            level: level,
            pageSize: before.pageSize,
            minTXID: before.txid.next,
            writer: Sample.writer,
            digestBefore: before.digest,
            pageCountBefore: before.pageCount,
            generation: Sample.generation
        )
    }

    static func end(_ database: SampleDatabase) -> LevelEnd {
        LevelEnd(
            txid: database.txid,
            digest: database.digest,
            pageCount: database.pageCount,
            firstTime: Timestamp(milliseconds: database.clock.milliseconds - 10),
            lastTime: database.clock,
            position: Sample.position
        )
    }

    /// The level from `before` to `after`, with all pages that differ.
    static func level(
        from before: SampleDatabase,
        to after: SampleDatabase,
        leavingOut omitted: Int? = nil
    ) throws -> (bytes: [UInt8], finished: FinishedSegment) {
        let encoder = try LevelEncoder(header: header(from: before), end: end(after))
        var bytes: [UInt8] = []
        for page in 1...max(before.pages.count, after.pages.count, 1) where page != omitted {
            let (old, new) = (hash(before, page), hash(after, page))
            guard old != new else { continue }
            let number = PageNumber(UInt32(page))
            if page > after.pages.count {
                try encoder.append(removed: number, hashBefore: old ?? 0)
            } else {
                try after.pages[page - 1].withUnsafeBytes {
                    try encoder.append(page: number, hashBefore: old, content: $0)
                }
            }
            bytes += encoder.takeOutput()
        }
        let finished = try encoder.finish()
        return (bytes + encoder.takeOutput(), finished)
    }

    static func level() throws -> (bytes: [UInt8], finished: FinishedSegment) {
        let chain = try chain(seed: 2, segments: 4)
        return try level(from: chain.before, to: chain.after)
    }

    /// The pages after the level in `bytes` was applied to `pages`.
    static func apply(level bytes: [UInt8], to pages: [[UInt8]]) throws -> [[UInt8]] {
        var pages = pages
        let layout = try SegmentLayout(segment: bytes)
        let size = layout.header.pageSize.bytes
        var content: [UInt8] = []
        for block in layout.blocks where block.kind == .content {
            content += try LogBlocks.decodeContent(Sample.stored(block, in: bytes), block)
        }
        while pages.count < Int(layout.footer.pageCountAfter) { pages.append([]) }
        var taken = 0
        for block in layout.blocks where block.kind == .meta {
            for record in try LogBlocks.decodeMeta(Sample.stored(block, in: bytes), block) {
                guard case .page(let entry) = record, entry.change == .whole else { continue }
                pages[Int(entry.page.rawValue) - 1] = Array(content[taken..<taken + size])
                taken += size
            }
        }
        return Array(pages[..<Int(layout.footer.pageCountAfter)])
    }
}
