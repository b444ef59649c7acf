import Bytes
import PageHashing
import Zstandard

/// Checks everything that a segment says about itself, given all of its bytes.
package enum SegmentVerifier {
    /// The layout of `bytes`, after every checksum, block, record, hash and sum was found right.
    ///
    /// With `name`, the key must say what the segment says. What only the segments before can
    /// tell is left to the caller: the link, the state before, and deltas of pages that existed.
    @discardableResult
    package static func verify(
        _ bytes: [UInt8],
        name: SegmentName? = nil
    ) throws(SegmentError) -> SegmentLayout {
        let layout = try SegmentLayout(segment: bytes)
        guard name == nil || name == layout.name else {
            throw SegmentError(
                .inconsistent,
                at: 0,
                "the object's name does not fit its content, which belongs to \(layout.name)"
            )
        }
        try checkWhole(bytes, layout.footer)
        var decompressor = Decompressor()
        switch layout.header.kind {
        case .snapshot: try verifySnapshot(bytes, layout, &decompressor)
        case .level: try verifyLevel(bytes, layout, &decompressor)
        case .log: try verifyLog(bytes, layout, &decompressor)
        case .pack:
            try verifyMembers(bytes, layout)
            try verifyLog(bytes, layout, &decompressor)
        }
        return layout
    }

    private static func checkWhole(
        _ bytes: [UInt8],
        _ footer: SegmentFooter
    ) throws(SegmentError) {
        var stream = ChecksumStream()
        let covered = bytes.count - SegmentFooter.encodedSize + SegmentFooter.coveredSize
        bytes[..<covered].withUnsafeBytes { stream.update($0) }
        guard stream.finish() == footer.checksum else {
            throw SegmentError(
                .checksumMismatch,
                at: UInt64(covered),
                "the checksum of the whole segment is wrong"
            )
        }
    }

    private static func verifySnapshot(
        _ bytes: [UInt8],
        _ layout: SegmentLayout,
        _ decompressor: inout Decompressor
    ) throws(SegmentError) {
        let size = layout.header.pageSize
        var recorded: [UInt64] = []
        for block in layout.blocks where block.kind == .meta {
            recorded += try SnapshotBlocks.decodeMeta(block.of(bytes), block, using: &decompressor)
        }
        var digest = DatabaseDigest.zero
        for block in layout.blocks where block.kind == .content {
            let content = try SnapshotBlocks.decodeContent(
                block.of(bytes),
                block,
                using: &decompressor
            )
            var ordinal = size.ordinal(of: PageNumber(UInt32(block.first)))
            for index in 0..<Int(block.count) {
                let page = PageNumber(UInt32(size.storedPage(at: ordinal)))
                let hash = content.hash(page: page, at: index, size: size)
                guard hash.low == recorded[Int(ordinal)] else {
                    throw SegmentError(
                        .checksumMismatch,
                        at: block.offset,
                        "page \(page) does not have its recorded hash"
                    )
                }
                digest = digest &+ hash
                ordinal += 1
            }
        }
        // The pages of several slices make up no state, so their sum is no state's digest.
        let isSliced = layout.header.minTXID != layout.footer.maxTXID
        guard isSliced || layout.footer.digestAfter == digest else {
            throw SegmentError(.inconsistent, "the snapshot's pages do not add up to its digest")
        }
    }

    private static func verifyLog(
        _ bytes: [UInt8],
        _ layout: SegmentLayout,
        _ decompressor: inout Decompressor
    ) throws(SegmentError) {
        var checker = LogRecordChecker(header: layout.header)
        var pages = ContentCursor(bytes: bytes, layout: layout)
        for block in layout.blocks where block.kind == .meta {
            guard block.txid == checker.txid else {
                throw SegmentError(.inconsistent, at: block.offset, "a block has a wrong TXID")
            }
            let records = try LogBlocks.decodeMeta(block.of(bytes), block, using: &decompressor)
            for record in records {
                if case .page(let entry) = record, entry.change.hasContent {
                    try pages.check(entry, of: checker.txid, using: &decompressor)
                }
                try checker.check(record)
            }
        }
        try checker.finish(layout.footer)
        try pages.finish()
    }
}

extension BlockEntry {
    /// The block's bytes in a whole segment; the layout says that they are there.
    func of(_ segment: [UInt8]) -> ArraySlice<UInt8> {
        segment[Int(range.lowerBound)..<Int(range.upperBound)]
    }
}

extension [UInt8] {
    /// The hash of the page that is `index` pages into these bytes.
    func hash(page: PageNumber, at index: Int, size: PageSize) -> PageHash {
        withUnsafeBytes { bytes in
            let start = index * size.bytes
            return PageHasher.hash(
                UnsafeRawBufferPointer(rebasing: bytes[start..<start + size.bytes]),
                number: page
            )
        }
    }
}

/// Walks through a log segment's content stream, one block in memory at a time.
private struct ContentCursor {
    private let bytes: [UInt8]
    private let size: PageSize
    private var blocks: ArraySlice<BlockEntry>
    private var block: BlockEntry?
    private var content: [UInt8] = []
    private var index = 0

    init(bytes: [UInt8], layout: SegmentLayout) {
        self.bytes = bytes
        size = layout.header.pageSize
        blocks = layout.blocks.filter { $0.kind == .content }[...]
    }

    /// Takes the next page, which belongs to `entry`, and checks what can be checked without the
    /// pages before: whole pages, pre-images of removals, and deltas of new pages.
    mutating func check(
        _ entry: PageEntry,
        of txid: TXID,
        using decompressor: inout Decompressor
    ) throws(SegmentError) {
        if block == nil || index == Int(block?.count ?? 0) {
            guard let next = blocks.popFirst() else {
                throw SegmentError(.inconsistent, "the content of page \(entry.page) is missing")
            }
            guard next.txid == txid else {
                throw SegmentError(.inconsistent, at: next.offset, "a block has a wrong TXID")
            }
            content = try LogBlocks.decodeContent(next.of(bytes), next, using: &decompressor)
            block = next
            index = 0
        }
        defer { index += 1 }
        let expected: UInt64? =
            switch entry.change {
            case .whole: entry.resultHash
            case .xor: entry.isNew ? entry.resultHash : nil
            case .removed: entry.preHash
            }
        let hash = content.hash(page: entry.page, at: index, size: size)
        guard expected == nil || expected == hash.low else {
            throw SegmentError(
                .checksumMismatch,
                at: block?.offset,
                "page \(entry.page) of commit \(txid) does not have its recorded hash"
            )
        }
    }

    /// Checks that nothing is left.
    func finish() throws(SegmentError) {
        guard blocks.isEmpty, index == Int(block?.count ?? 0) else {
            throw SegmentError(.inconsistent, "content is left that no record takes")
        }
    }
}
