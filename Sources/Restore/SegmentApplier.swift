import BackupCatalog
import Bytes
import ObjectStorage
import PageHashing
import Platform
import SegmentFormat
import Zstandard

/// Applies segments to the output, page by page, and proves each step: the page before a delta and
/// the page after it must have the recorded hashes, and the digest of each commit must be the
/// recorded one (DESIGN §6).
final class SegmentApplier {
    private(set) var digest = DatabaseDigest.zero
    private(set) var pageCount: UInt32 = 0
    private(set) var txid = TXID.zero
    private let output: OutputFile
    private let pageSize: PageSize
    private let page: UnsafeMutableRawBufferPointer
    private var decompressor = Decompressor()

    init(output: OutputFile, pageSize: PageSize) {
        self.output = output
        self.pageSize = pageSize
        page = .allocate(byteCount: pageSize.bytes, alignment: 16)
    }

    deinit { page.deallocate() }

    private func damaged(_ segment: StoredSegment, _ what: String) -> RestoreError {
        RestoreError(
            .integrity,
            "'\(segment.key)': \(what); restore another target, or see docs/FORMAT.md"
        )
    }

    /// Writes every page of a snapshot.
    func apply(snapshot segment: StoredSegment, from store: any ObjectStore) async throws {
        let fetcher = SegmentFetcher(segment, from: store)
        let layout = try await fetcher.layout()
        guard layout.header.pageSize == pageSize, layout.header.minTXID == segment.name.maxTXID
        else { throw damaged(segment, "it is not one state of this database") }
        pageCount = layout.footer.pageCountAfter
        try output.reserve(pages: pageCount)
        for block in layout.blocks where block.kind == .content {
            let stored = try await fetcher.bytes(in: block.range)
            let raw = try segment.naming { () throws(SegmentError) in
                try SnapshotBlocks.decodeContent(stored[...], block, using: &decompressor)
            }
            var number = UInt32(block.first)
            for index in 0..<Int(block.count) {
                if PageNumber(number) == pageSize.lockPage { number += 1 }
                try raw.withUnsafeBytes { bytes in
                    let range = index * pageSize.bytes..<(index + 1) * pageSize.bytes
                    let content = UnsafeRawBufferPointer(rebasing: bytes[range])
                    digest = digest &+ PageHasher.hash(content, number: PageNumber(number))
                    try output.write(PageNumber(number), content)
                }
                number += 1
            }
        }
        guard digest == layout.footer.digestAfter else {
            throw damaged(segment, "its pages do not have the recorded digest")
        }
        txid = segment.name.maxTXID
        try output.resize(to: pageCount)
    }

    /// Applies the commits of a log segment after the current one, up to `last`.
    func apply(
        log segment: StoredSegment,
        from store: any ObjectStore,
        through last: TXID
    ) async throws {
        let fetcher = SegmentFetcher(segment, from: store)
        let layout = try await fetcher.layout()
        guard layout.header.pageSize == pageSize else { throw damaged(segment, "its page size") }
        var content = ContentReader(fetcher: fetcher, layout: layout, pageSize: pageSize)
        var checker = LogRecordChecker(header: layout.header)
        for block in layout.blocks where block.kind == .meta {
            let stored = try await fetcher.bytes(in: block.range)
            let records = try segment.naming { () throws(SegmentError) in
                try LogBlocks.decodeMeta(stored[...], block, using: &decompressor)
            }
            for record in records {
                let belongs = checker.txid
                if belongs > last { return }
                try segment.naming { () throws(SegmentError) in try checker.check(record) }
                switch record {
                case .page(let entry):
                    let bytes =
                        entry.change.hasContent
                        ? try await content.next(segment, &decompressor) : nil
                    if belongs > txid { try apply(entry, bytes, segment: segment) }
                case .commit(let commit):
                    if commit.txid > txid { try end(commit, segment: segment) }
                }
            }
        }
    }

    private func apply(_ entry: PageEntry, _ bytes: ArraySlice<UInt8>?, segment: StoredSegment)
        throws
    {
        let isOld = entry.page.rawValue <= pageCount
        guard entry.page != pageSize.lockPage, entry.isNew != isOld else {
            throw damaged(segment, "page \(entry.page) is not where the commit says")
        }
        if isOld {
            try output.read(entry.page, into: page)
            let old = PageHasher.hash(UnsafeRawBufferPointer(page), number: entry.page)
            if let preHash = entry.preHash, preHash != old.low {
                throw damaged(segment, "page \(entry.page) before the commit is not as recorded")
            }
            digest = digest &- old
        }
        if entry.change.isRemoval { return }
        guard let bytes else { throw damaged(segment, "page \(entry.page) has no content") }
        bytes.withUnsafeBytes { source in
            if entry.change == .xor {
                PageXOR.apply(source, to: page)
            } else {
                page.copyMemory(from: source)
            }
        }
        let new = PageHasher.hash(UnsafeRawBufferPointer(page), number: entry.page)
        guard new.low == entry.resultHash else {
            throw damaged(segment, "page \(entry.page) after the commit is not as recorded")
        }
        digest = digest &+ new
        try output.write(entry.page, UnsafeRawBufferPointer(page))
    }

    private func end(_ commit: CommitRecord, segment: StoredSegment) throws {
        if commit.pageCount != pageCount { try output.resize(to: commit.pageCount) }
        pageCount = commit.pageCount
        txid = commit.txid
        if let recorded = commit.digest, recorded != digest {
            throw damaged(segment, "the state after commit \(commit.txid) has another digest")
        }
    }
}

/// The content stream of a log segment, a block at a time.
private struct ContentReader {
    let fetcher: SegmentFetcher
    let layout: SegmentLayout
    let pageSize: PageSize
    private var blockIndex = 0
    private var raw: [UInt8] = []
    private var offset = 0

    init(fetcher: SegmentFetcher, layout: SegmentLayout, pageSize: PageSize) {
        self.fetcher = fetcher
        self.layout = layout
        self.pageSize = pageSize
    }

    mutating func next(
        _ segment: StoredSegment,
        _ decompressor: inout Decompressor
    ) async throws -> ArraySlice<UInt8> {
        if offset == raw.count {
            while blockIndex < layout.blocks.count, layout.blocks[blockIndex].kind != .content {
                blockIndex += 1
            }
            guard blockIndex < layout.blocks.count else {
                throw RestoreError(.integrity, "'\(segment.key)': it has less content than pages")
            }
            let block = layout.blocks[blockIndex]
            blockIndex += 1
            let stored = try await fetcher.bytes(in: block.range)
            raw = try BlockDecoding.content(stored, block, &decompressor, segment)
            offset = 0
        }
        defer { offset += pageSize.bytes }
        return raw[offset..<offset + pageSize.bytes]
    }
}

/// Decoding with the segment's name in errors.
private enum BlockDecoding {
    static func content(
        _ stored: [UInt8],
        _ block: BlockEntry,
        _ decompressor: inout Decompressor,
        _ segment: StoredSegment
    ) throws -> [UInt8] {
        try segment.naming { () throws(SegmentError) in
            try LogBlocks.decodeContent(stored[...], block, using: &decompressor)
        }
    }
}
