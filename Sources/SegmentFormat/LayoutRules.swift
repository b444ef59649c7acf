import Bytes

/// What header, footer and block table say about each other.
///
/// Everything is compared before it is added, so that no hostile number overflows or sizes an
/// allocation.
struct LayoutRules {
    private let header: SegmentHeader
    private let footer: SegmentFooter
    private var nextOffset = UInt64(SegmentHeader.encodedSize)
    private var metas: Seen
    private var contents: Seen
    private var members: Seen

    /// What the blocks of one kind so far add up to.
    private struct Seen {
        var count: UInt64 = 0
        var txid: TXID
        /// Level: the least page number that the next block may begin with.
        var nextPage: UInt64 = 1

        mutating func add(_ block: BlockEntry) {
            count += UInt64(block.count)
            txid = block.txid
            // In a level the sum is at most 2^33; elsewhere nobody asks.
            nextPage = block.first &+ UInt64(block.count)
        }
    }

    init(header: SegmentHeader, footer: SegmentFooter) {
        self.header = header
        self.footer = footer
        let none = Seen(txid: header.minTXID)
        (metas, contents, members) = (none, none, none)
    }

    /// Header against footer.
    func checkFooter() throws(SegmentError) {
        guard header.minTXID <= footer.maxTXID else {
            throw inconsistent("its TXIDs run backwards")
        }
        switch header.kind {
        case .log, .pack:
            // The TXIDs are below 2^63, so nothing here overflows.
            let commits = footer.maxTXID.rawValue - header.minTXID.rawValue + 1
            guard footer.commitCount == commits else {
                throw inconsistent("\(footer.commitCount) commits do not fill its TXIDs")
            }
        case .level:
            guard footer.commitCount == 0, footer.digestAfter != nil else {
                throw inconsistent("a level has no commits, and a digest after it")
            }
        case .snapshot:
            guard footer.commitCount == 0,
                footer.entryCount == header.pageSize.storedPageCount(of: footer.pageCountAfter)
            else { throw inconsistent("its pages do not make up its page count") }
            guard footer.firstTime == footer.lastTime else {
                throw inconsistent("a snapshot has one time")
            }
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
        guard isInOrder(block), goesOn(block) else {
            throw SegmentError(
                .inconsistent,
                at: place,
                "a block does not go on where the one before it ends"
            )
        }
        // At most 2^32 blocks of 2^20 records: no overflow.
        switch block.kind {
        case .meta: metas.add(block)
        case .content: contents.add(block)
        case .members: members.add(block)
        }
    }

    /// Whether the block may come after those before it: a pack's members are its last blocks, and
    /// a level's records come after its pages.
    private func isInOrder(_ block: BlockEntry) -> Bool {
        switch (header.kind, block.kind) {
        case (.pack, .members): true
        case (_, .members): false
        case (.pack, _): members.count == 0
        case (.level, .content): metas.count == 0
        default: true
        }
    }

    /// Whether the block goes on where its kind's last one ended.
    private func goesOn(_ block: BlockEntry) -> Bool {
        let seen =
            switch block.kind {
            case .meta: metas
            case .content: contents
            case .members: members
            }
        switch header.kind {
        case .log, .pack:
            // Only content may begin later than the segment: its first commits may have none.
            let mayBeginLater = seen.count > 0 || block.kind == .content
            let isNext = mayBeginLater ? block.txid >= seen.txid : block.txid == seen.txid
            return block.first == seen.count && isNext && block.txid <= footer.maxTXID
        case .level:
            // The pages of a block ascend, so the last one's number is this at least.
            let (last, overflow) = block.first.addingReportingOverflow(UInt64(block.count) - 1)
            let most = max(header.pageCountBefore, footer.pageCountAfter)
            let limit = block.kind == .content ? footer.pageCountAfter : most
            return block.txid == footer.maxTXID && block.first >= seen.nextPage && !overflow
                && last <= UInt64(limit)
        case .snapshot:
            let isNext = seen.count > 0 ? block.txid >= seen.txid : block.txid == seen.txid
            return block.first == header.pageSize.storedPage(at: seen.count) && isNext
                && block.txid <= footer.maxTXID
        }
    }

    /// The sums over all blocks.
    func checkEnd() throws(SegmentError) {
        guard nextOffset == footer.tableOffset else {
            throw inconsistent("bytes lie between the blocks and their table")
        }
        let fits: Bool
        switch header.kind {
        case .log, .pack:
            let (records, overflow) = footer.commitCount.addingReportingOverflow(footer.entryCount)
            fits =
                !overflow && metas.count == records && contents.count <= footer.entryCount
                && (members.count > 0) == (header.kind == .pack)
                && members.count <= footer.commitCount
        case .level:
            let before = header.pageSize.storedPageCount(of: header.pageCountBefore)
            let after = header.pageSize.storedPageCount(of: footer.pageCountAfter)
            let removed = before > after ? before - after : 0
            fits =
                metas.count == footer.entryCount && footer.entryCount >= removed
                && contents.count == footer.entryCount - removed
        case .snapshot:
            // Without blocks both TXIDs still are the first.
            fits =
                metas.count == footer.entryCount && contents.count == footer.entryCount
                && metas.txid == footer.maxTXID && contents.txid == footer.maxTXID
        }
        guard fits else { throw inconsistent("its blocks do not hold what its footer counts") }
    }

    private func checkSizes(_ block: BlockEntry, at place: UInt64) throws(SegmentError) {
        let count = UInt64(block.count)
        let raw = UInt64(block.rawLength)
        let meta = UInt64(SegmentLimits.metaBlockBytes)
        let fits: Bool
        switch (block.kind, header.kind) {
        case (.content, _):
            let size = UInt64(header.pageSize.bytes)
            fits = raw == count * size && raw <= UInt64(SegmentLimits.contentBlockBytes)
        case (.members, _):
            fits = raw == count * UInt64(PackMember.encodedSize) && raw <= meta
        case (.meta, .log), (.meta, .pack):
            let sizes = count * UInt64(RecordCode.pageSize)...count * UInt64(RecordCode.commitSize)
            fits = sizes.contains(raw) && raw <= meta
        case (.meta, .level):
            fits = raw == count * UInt64(RecordCode.pageSize) && raw <= meta
        case (.meta, .snapshot):
            fits = raw == count * 8 && raw <= meta
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
