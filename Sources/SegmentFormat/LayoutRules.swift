import Bytes

/// What header, footer and block table say about each other.
///
/// Everything is compared before it is
/// added, so that no hostile number overflows or sizes an allocation.
struct LayoutRules {
    private let header: SegmentHeader
    private let footer: SegmentFooter
    private var nextOffset = UInt64(SegmentHeader.encodedSize)
    private var metaCount: UInt64 = 0
    private var contentCount: UInt64 = 0
    private var txids: (meta: TXID, content: TXID)

    init(header: SegmentHeader, footer: SegmentFooter) {
        self.header = header
        self.footer = footer
        txids = (header.minTXID, header.minTXID)
    }

    /// Header against footer.
    func checkFooter() throws(SegmentError) {
        guard header.minTXID <= footer.maxTXID else {
            throw inconsistent("its TXIDs run backwards")
        }
        switch header.kind {
        case .log:
            // The TXIDs are below 2^63, so nothing here overflows.
            let commits = footer.maxTXID.rawValue - header.minTXID.rawValue + 1
            guard footer.commitCount == commits else {
                throw inconsistent("\(footer.commitCount) commits do not fill its TXIDs")
            }
        case .snapshot:
            guard footer.commitCount == 0,
                footer.entryCount == header.pageSize.storedPageCount(of: footer.pageCountAfter)
            else { throw inconsistent("its pages do not make up its page count") }
            guard footer.firstTime == footer.lastTime else {
                throw inconsistent("a snapshot has one time")
            }
        case .pack, .level:
            throw SegmentError(
                .unsupported,
                at: 10,
                "\(header.kind) segments are not defined in format version 1"
            )
        }
    }

    /// The next entry of the table.
    mutating func check(_ block: BlockEntry, entryAt place: UInt64) throws(SegmentError) {
        guard block.offset == nextOffset, block.offset <= footer.tableOffset,
            UInt64(block.storedLength) <= footer.tableOffset - block.offset
        else {
            throw SegmentError(
                .inconsistent,
                at: place,
                "the block table leaves gaps, or blocks overlap"
            )
        }
        nextOffset += UInt64(block.storedLength)
        try checkSizes(block, at: place)
        let (seen, lowest) =
            block.kind == .meta ? (metaCount, txids.meta) : (contentCount, txids.content)
        let first = header.kind == .log ? seen : header.pageSize.storedPage(at: seen)
        // Only the content of a log may begin later than the segment: its first commits may have
        // no content.
        let mayBeginLater = seen > 0 || (header.kind == .log && block.kind == .content)
        let isNextTXID = mayBeginLater ? block.txid >= lowest : block.txid == lowest
        guard block.first == first, isNextTXID, block.txid <= footer.maxTXID else {
            throw SegmentError(
                .inconsistent,
                at: place,
                "a block does not go on where the one before it ends"
            )
        }
        // At most 2^32 blocks of 2^20 records: no overflow.
        if block.kind == .meta {
            metaCount += UInt64(block.count)
            txids.meta = block.txid
        } else {
            contentCount += UInt64(block.count)
            txids.content = block.txid
        }
    }

    /// The sums over all blocks.
    func checkEnd() throws(SegmentError) {
        guard nextOffset == footer.tableOffset else {
            throw inconsistent("bytes lie between the blocks and their table")
        }
        let fits: Bool
        if header.kind == .log {
            let (records, overflow) = footer.commitCount.addingReportingOverflow(footer.entryCount)
            fits = !overflow && metaCount == records && contentCount <= footer.entryCount
        } else {
            // Without blocks both TXIDs still are the first.
            fits =
                metaCount == footer.entryCount && contentCount == footer.entryCount
                && txids == (footer.maxTXID, footer.maxTXID)
        }
        guard fits else { throw inconsistent("its blocks do not hold what its footer counts") }
    }

    private func checkSizes(_ block: BlockEntry, at place: UInt64) throws(SegmentError) {
        let count = UInt64(block.count)
        let raw = UInt64(block.rawLength)
        let fits: Bool
        switch (block.kind, header.kind) {
        case (.content, _):
            let size = UInt64(header.pageSize.bytes)
            fits = raw == count * size && raw <= UInt64(SegmentLimits.contentBlockBytes)
        case (.meta, .log):
            let sizes = count * UInt64(RecordCode.pageSize)...count * UInt64(RecordCode.commitSize)
            fits = sizes.contains(raw) && raw <= UInt64(SegmentLimits.metaBlockBytes)
        case (.meta, _):
            fits = raw == count * 8 && raw <= UInt64(SegmentLimits.metaBlockBytes)
        }
        let most = UInt64(SegmentLimits.storedBytes(raw: Int(block.rawLength)))
        guard count > 0, fits, block.storedLength > 0, UInt64(block.storedLength) <= most else {
            throw SegmentError(.invalidField, at: place, "a block's sizes are impossible")
        }
    }

    private func inconsistent(_ message: String) -> SegmentError {
        SegmentError(
            .inconsistent,
            at: footer.tableOffset,
            "header, block table and footer disagree: \(message)"
        )
    }
}
