package import Bytes
import PageHashing

/// Writes a snapshot: every page but the lock page, in ascending order, with its hash.
///
/// Hashes and sums up the pages itself, so the digest is of what was really stored. Misuse throws,
/// and so does everything after it. Not thread-safe.
package final class SnapshotEncoder {
    private var assembler: SegmentAssembler
    private let workspace: SegmentWorkspace
    private let pageSize: PageSize
    private var time: Timestamp
    private var txid: TXID
    private var pageCount: UInt32
    private var digest = DatabaseDigest.zero
    private var stored: UInt64 = 0
    /// What `stored` was when the slice began.
    private var storedBefore: UInt64 = 0
    private var contentCount = 0
    private var metaCount = 0
    private var isClosed = false

    /// Begins a snapshot of the state at `header.minTXID`, which has `pageCount` pages and was
    /// seen at `time`.
    package convenience init(
        header: SegmentHeader,
        time: Timestamp,
        pageCount: UInt32,
        compressionLevel: Int32 = 3
    ) throws(SegmentError) {
        let workspace = SegmentWorkspace(compressionLevel: compressionLevel)
        try self.init(header: header, time: time, pageCount: pageCount, workspace: workspace)
    }

    /// Begins a snapshot in `workspace`, which no other encoder may be using.
    package init(
        header: SegmentHeader,
        time: Timestamp,
        pageCount: UInt32,
        workspace: SegmentWorkspace
    ) throws(SegmentError) {
        guard header.kind == .snapshot, pageCount <= SegmentLimits.maxPageCount else {
            throw SegmentError(.misuse, "a snapshot's header or page count is wrong")
        }
        self.workspace = workspace
        self.time = time
        self.pageCount = pageCount
        pageSize = header.pageSize
        txid = header.minTXID
        assembler = try SegmentAssembler(header: header, workspace: workspace)
    }

    /// The page that `append` takes next; nil when all are there.
    package var nextPage: PageNumber? {
        stored < pageSize.storedPageCount(of: pageCount)
            ? PageNumber(UInt32(pageSize.storedPage(at: stored))) : nil
    }

    /// Adds the next page; the lock page is left out.
    package func append(
        page: PageNumber,
        content: UnsafeRawBufferPointer
    ) throws(SegmentError) {
        try checkUsable()
        guard page == nextPage, content.count == pageSize.bytes else {
            isClosed = true
            throw SegmentError(
                .misuse,
                at: assembler.length,
                "page \(page) of \(content.count) bytes is not the snapshot's next page"
            )
        }
        let held = workspace.content.count
        if held > 0, held + content.count > SegmentLimits.snapshotBlockTarget {
            try flushContent()
        }
        if workspace.meta.count + 8 > SegmentLimits.metaBlockBytes { try flushMeta() }
        let hash = PageHasher.hash(content, number: page)
        digest = digest &+ hash
        workspace.content.append(contentsOf: content)
        workspace.meta.append(littleEndian: hash.low)
        contentCount += 1
        metaCount += 1
        stored += 1
    }

    /// Goes on with the pages as of a later commit, seen at `time`: the next slice, under its pin.
    ///
    /// A page stored before keeps its slice's TXID, and a restore applies to it only later commits.
    /// Both slices hold a page at least.
    /// - Throws: `misuse` when the database has shrunk below the pages stored: begin again.
    package func beginSlice(
        txid: TXID,
        pageCount: UInt32,
        time: Timestamp
    ) throws(SegmentError) {
        try checkUsable()
        guard txid >= self.txid, txid <= SegmentLimits.maxTXID,
            pageCount <= SegmentLimits.maxPageCount,
            stored > storedBefore, stored < pageSize.storedPageCount(of: pageCount)
        else {
            isClosed = true
            throw SegmentError(.misuse, "the slice at \(txid) cannot go on with this snapshot")
        }
        try flushContent()
        try flushMeta()
        storedBefore = stored
        self.txid = txid
        self.pageCount = pageCount
        self.time = time
    }

    /// Ends the snapshot, after its last page.
    ///
    /// `position` is the place in the WAL at its TXID.
    ///
    /// With one slice the digest is the sum of the pages stored. With several only the caller can
    /// know it: `slicedDigest` is the digest of the state at the last slice's TXID.
    package func finish(
        position: WALPosition?,
        slicedDigest: DatabaseDigest? = nil
    ) throws(SegmentError) -> FinishedSegment {
        try checkUsable()
        guard nextPage == nil else {
            throw SegmentError(.misuse, "the snapshot lacks pages: \(stored) of \(pageCount)")
        }
        try flushContent()
        try flushMeta()
        isClosed = true
        return try assembler.finish(
            SegmentSummary(
                maxTXID: txid,
                firstTime: time,
                lastTime: time,
                digestAfter: txid == assembler.header.minTXID ? digest : slicedDigest,
                pageCountAfter: pageCount,
                position: position,
                commitCount: 0,
                entryCount: stored
            )
        )
    }

    /// The bytes produced and not taken yet: first the header, after `finish` the rest.
    package func takeOutput() -> [UInt8] { assembler.takeOutput() }

    /// Bytes held: compressed and not taken, and not compressed yet.
    package var bufferedByteCount: Int {
        let open = isClosed ? 0 : workspace.content.count + workspace.meta.count
        return assembler.output.count + open
    }

    private func checkUsable() throws(SegmentError) {
        guard !isClosed else {
            throw SegmentError(.misuse, "the encoder has finished, or failed before")
        }
    }

    private func flushContent() throws(SegmentError) {
        guard contentCount > 0 else { return }
        let first = pageSize.storedPage(at: stored - UInt64(contentCount))
        isClosed = true
        try assembler.writeContent(count: contentCount, first: first, txid: txid)
        isClosed = false
        contentCount = 0
    }

    private func flushMeta() throws(SegmentError) {
        guard metaCount > 0 else { return }
        let first = pageSize.storedPage(at: stored - UInt64(metaCount))
        isClosed = true
        try assembler.writeMeta(count: metaCount, first: first, txid: txid)
        isClosed = false
        metaCount = 0
    }
}
