import BackupCatalog
import Bytes
import ObjectStorage
import SegmentFormat
import Zstandard

/// Reads the commits of a run from the store, a block at a time.
struct LogReader {
    /// One commit: its record, and its pages with what is stored of them.
    struct Commit {
        let record: CommitRecord
        let pages: [(entry: PageEntry, content: [UInt8]?)]
    }

    let store: any ObjectStore

    /// Hands the commits of a slice to `body`, in order; contents only when asked for.
    func commits(
        of slice: LogSlice,
        contents: Bool,
        _ body: (Commit) throws -> Void
    ) async throws {
        let fetcher = SegmentFetcher(slice.segment, from: store)
        let layout = try await fetcher.layout()
        var stream = ContentStream(fetcher: fetcher, layout: layout)
        var checker = LogRecordChecker(header: layout.header)
        var decompressor = Decompressor()
        var pages: [(entry: PageEntry, content: [UInt8]?)] = []
        for block in layout.blocks where block.kind == .meta {
            let stored = try await fetcher.bytes(in: block.range)
            let records = try slice.segment.naming { () throws(SegmentError) in
                try LogBlocks.decodeMeta(stored[...], block, using: &decompressor)
            }
            for record in records {
                try slice.segment.naming { () throws(SegmentError) in try checker.check(record) }
                switch record {
                case .page(let entry):
                    let takes = contents && entry.change.hasContent
                    pages.append((entry, takes ? try await stream.next() : nil))
                case .commit(let commit):
                    if commit.txid > slice.txids.upperBound { return }
                    if slice.txids.contains(commit.txid) {
                        try body(Commit(record: commit, pages: pages))
                    }
                    pages = []
                }
            }
        }
    }
}

/// The content of a log segment, pack or level, page after page.
struct ContentStream: ~Copyable {
    private let fetcher: SegmentFetcher
    private let pageSize: Int
    private var blocks: ArraySlice<BlockEntry>
    private var raw: [UInt8] = []
    private var offset = 0
    private var decompressor = Decompressor()

    init(fetcher: SegmentFetcher, layout: SegmentLayout) {
        self.fetcher = fetcher
        pageSize = layout.header.pageSize.bytes
        blocks = layout.blocks.filter { $0.kind == .content }[...]
    }

    /// The next page.
    mutating func next() async throws -> [UInt8] {
        if offset == raw.count {
            guard let block = blocks.popFirst() else {
                throw CatalogError(
                    .damaged,
                    object: fetcher.segment.key.path,
                    "the segment has less content than pages"
                )
            }
            let stored = try await fetcher.bytes(in: block.range)
            raw = try fetcher.segment.naming { () throws(SegmentError) in
                try LogBlocks.decodeContent(stored[...], block, using: &decompressor)
            }
            offset = 0
        }
        defer { offset += pageSize }
        return Array(raw[offset..<offset + pageSize])
    }
}
