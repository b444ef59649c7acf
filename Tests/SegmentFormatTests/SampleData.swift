import Bytes
import PageHashing
import SegmentFormat
import TestSupport
import Zstandard

/// A page as an encoder was given it.
struct SamplePage: Equatable {
    var entry: PageEntry
    var content: [UInt8]?
}

/// A commit as an encoder was given it.
struct SampleCommit: Equatable {
    var record: CommitRecord
    var pages: [SamplePage]
}

/// A database that lives in memory, makes random commits, and knows its digest.
struct SampleDatabase {
    let pageSize: PageSize
    var pages: [[UInt8]] = []
    var txid: TXID
    var clock = Timestamp(milliseconds: 1_764_000_000_000)

    var pageCount: UInt32 { UInt32(pages.count) }

    init(pageSize: Int, pageCount: Int, txid: UInt64, using random: inout SeededGenerator) {
        self.pageSize = PageSize(pageSize)!
        self.txid = TXID(txid)
        for _ in 0..<pageCount { pages.append(Self.page(pageSize, &random)) }
    }

    static func page(_ size: Int, _ random: inout SeededGenerator) -> [UInt8] {
        // Compressible in part, as database pages are.
        var bytes = [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: size)
        for _ in 0..<size / 16 {
            bytes[Int.random(in: 0..<size, using: &random)] = UInt8(
                truncatingIfNeeded: random.next()
            )
        }
        return bytes
    }

    static func hash(_ content: [UInt8], _ page: Int) -> PageHash {
        content.withUnsafeBytes { PageHasher.hash($0, number: PageNumber(UInt32(page))) }
    }

    var digest: DatabaseDigest {
        pages.enumerated().reduce(.zero) { $0 &+ Self.hash($1.element, $1.offset + 1) }
    }

    /// A commit that changes some pages, and grows or shrinks the database now and then.
    mutating func commit(
        changing count: Int,
        resize: Int = 0,
        knowsDigest: Bool = true,
        using random: inout SeededGenerator
    ) -> SampleCommit {
        let before = pages
        let size = pageSize.bytes
        if resize < 0 { pages.removeLast(min(-resize, pages.count)) }
        if resize > 0 { for _ in 0..<resize { pages.append(Self.page(size, &random)) } }
        var changed = Set(before.count..<max(before.count, pages.count))
        for _ in 0..<count where !pages.isEmpty {
            changed.insert(Int.random(in: 0..<pages.count, using: &random))
        }
        var entries: [SamplePage] = []
        for index in changed.sorted() {
            if index < before.count {
                let at = Int.random(in: 0..<size, using: &random)
                pages[index][at] ^= UInt8.random(in: 1...255, using: &random)
            }
            let old = index < before.count ? before[index] : nil
            let isWhole = old == nil || Bool.random(using: &random)
            let new = pages[index]
            let content = isWhole ? new : zip(old!, new).map { $0 ^ $1 }
            let pre = Bool.random(using: &random) ? old.map { Self.hash($0, index + 1).low } : nil
            entries.append(
                SamplePage(
                    entry: PageEntry(
                        change: isWhole ? .whole : .xor,
                        page: PageNumber(UInt32(index + 1)),
                        isNew: old == nil,
                        preHash: pre,
                        resultHash: Self.hash(new, index + 1).low
                    ),
                    content: content
                )
            )
        }
        entries += removals(before, &random)
        txid = txid.next
        clock.milliseconds += 40
        let record = CommitRecord(
            txid: txid,
            pageCount: pageCount,
            digest: knowsDigest ? digest : nil,
            notSeenAt: Timestamp(milliseconds: clock.milliseconds - 3),
            seenAt: clock,
            entryCount: UInt32(entries.count),
            lastFrame: UInt32(txid.rawValue & 0xffff),
            isBridge: false
        )
        return SampleCommit(record: record, pages: entries)
    }

    /// The records of the pages that `before` had and the database has no longer.
    private func removals(
        _ before: [[UInt8]],
        _ random: inout SeededGenerator
    ) -> [SamplePage] {
        (pages.count..<max(before.count, pages.count)).map { index in
            let keeps = Bool.random(using: &random)
            let entry = PageEntry(
                change: .removed(hasContent: keeps),
                page: PageNumber(UInt32(index + 1)),
                preHash: Self.hash(before[index], index + 1).low,
                resultHash: 0
            )
            return SamplePage(entry: entry, content: keeps ? before[index] : nil)
        }
    }
}

/// Fixed names, and the calls that every test makes.
enum Sample {
    static let generation = GenerationID("20261124T001530123Z-1a2b3c4d")!
    static let writer = WriterTag(0x0123_4567_89ab_cdef)
    static let position = WALPosition(
        salts: WALSalts(salt1: 0x1111_2222, salt2: 0x3333_4444),
        frame: 77,
        checksum: WALChecksum(first: 0x5555_6666, second: 0x7777_8888)
    )

    static func logHeader(after database: SampleDatabase, link: SegmentChecksum? = nil)
        -> SegmentHeader
    {
        SegmentHeader(
            kind: .log,
            pageSize: database.pageSize,
            minTXID: database.txid.next,
            writer: writer,
            link: link,
            digestBefore: database.digest,
            pageCountBefore: database.pageCount,
            generation: generation
        )
    }

    static func add(_ commit: SampleCommit, to encoder: LogSegmentEncoder) throws {
        for page in commit.pages {
            if let content = page.content {
                try content.withUnsafeBytes { try encoder.append(page: page.entry, content: $0) }
            } else {
                try encoder.append(page: page.entry, content: nil)
            }
        }
        try encoder.endCommit(commit.record)
    }

    static func encode(
        _ commits: [SampleCommit],
        header: SegmentHeader,
        workspace: SegmentWorkspace = SegmentWorkspace()
    ) throws -> (bytes: [UInt8], finished: FinishedSegment) {
        let encoder = try LogSegmentEncoder(header: header, workspace: workspace)
        var bytes: [UInt8] = []
        for commit in commits {
            try add(commit, to: encoder)
            bytes += encoder.takeOutput()
        }
        let finished = try encoder.finish(position: position)
        bytes += encoder.takeOutput()
        return (bytes, finished)
    }

    static func snapshot(
        _ database: SampleDatabase
    ) throws -> (bytes: [UInt8], finished: FinishedSegment) {
        let header = SegmentHeader(
            kind: .snapshot,
            pageSize: database.pageSize,
            minTXID: database.txid,
            writer: writer,
            generation: generation
        )
        let encoder = try SnapshotEncoder(
            header: header,
            time: database.clock,
            pageCount: database.pageCount
        )
        var bytes: [UInt8] = []
        for (index, page) in database.pages.enumerated() {
            try page.withUnsafeBytes {
                try encoder.append(page: PageNumber(UInt32(index + 1)), content: $0)
            }
            bytes += encoder.takeOutput()
        }
        let finished = try encoder.finish(position: position)
        return (bytes + encoder.takeOutput(), finished)
    }

    /// The commits of a log segment, read as a restore reads them: block by block.
    static func decodeLog(_ bytes: [UInt8]) throws -> [SampleCommit] {
        let layout = try SegmentLayout(segment: bytes)
        let size = layout.header.pageSize.bytes
        var content: [UInt8] = []
        var commits: [SampleCommit] = []
        var pages: [SamplePage] = []
        for block in layout.blocks where block.kind == .content {
            content += try LogBlocks.decodeContent(stored(block, in: bytes), block)
        }
        var next = 0
        for block in layout.blocks where block.kind == .meta {
            for record in try LogBlocks.decodeMeta(stored(block, in: bytes), block) {
                switch record {
                case .page(let entry):
                    let taken = entry.change.hasContent ? next..<next + size : nil
                    next = taken?.upperBound ?? next
                    pages.append(
                        SamplePage(entry: entry, content: taken.map { Array(content[$0]) })
                    )
                case .commit(let record):
                    commits.append(SampleCommit(record: record, pages: pages))
                    pages = []
                }
            }
        }
        return commits
    }

    /// The pages of a snapshot, in order.
    static func decodeSnapshot(_ bytes: [UInt8]) throws -> [[UInt8]] {
        let layout = try SegmentLayout(segment: bytes)
        let size = layout.header.pageSize.bytes
        var pages: [[UInt8]] = []
        for block in layout.blocks where block.kind == .content {
            let content = try SnapshotBlocks.decodeContent(stored(block, in: bytes), block)
            for start in stride(from: 0, to: content.count, by: size) {
                pages.append(Array(content[start..<start + size]))
            }
        }
        return pages
    }

    static func stored(_ block: BlockEntry, in bytes: [UInt8]) -> [UInt8] {
        Array(bytes[Int(block.range.lowerBound)..<Int(block.range.upperBound)])
    }
}
