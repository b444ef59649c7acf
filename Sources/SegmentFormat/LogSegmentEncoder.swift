package import Bytes

/// Writes a log segment: commits in order, each with the pages that it changed.
///
/// For each commit call `append(page:content:)` once for each page, in any order, then
/// `endCommit`. Take the output as often as wanted; it grows whenever a block is full, so that a
/// commit of any size streams through. What would break a rule of the format throws `misuse`, and
/// so does everything after it. Not thread-safe.
package final class LogSegmentEncoder {
    private var assembler: SegmentAssembler
    private let workspace: SegmentWorkspace
    private let pageSize: PageSize
    private var commits: CommitSequence
    private var firstTime: Timestamp?
    private var last: CommitRecord?
    private var totals = (commits: UInt64(0), entries: UInt64(0), contentBytes: UInt64(0))
    private var content = OpenBlock()
    private var meta = OpenBlock()
    private var isClosed = false

    /// The block being filled: what its table entry will say.
    private struct OpenBlock {
        var first: UInt64 = 0
        var count = 0
        var txid = TXID.zero
    }

    /// Begins a segment in memory of its own.
    ///
    /// Level 1 of zstd takes half the time of level 3 for pages that are mostly zeros after XOR,
    /// and makes segments 4 % larger (docs/BENCHMARKS.md).
    package convenience init(
        header: SegmentHeader,
        compressionLevel: Int32 = 1
    ) throws(SegmentError) {
        let workspace = SegmentWorkspace(compressionLevel: compressionLevel)
        try self.init(header: header, workspace: workspace)
    }

    /// Begins a segment in `workspace`, which no other encoder may be using.
    package init(header: SegmentHeader, workspace: SegmentWorkspace) throws(SegmentError) {
        guard header.kind == .log else {
            throw SegmentError(.misuse, "a log segment's header says \(header.kind)")
        }
        self.workspace = workspace
        pageSize = header.pageSize
        commits = CommitSequence(header: header)
        assembler = try SegmentAssembler(header: header, workspace: workspace)
    }

    /// Adds a page of the commit that the next `endCommit` ends.
    ///
    /// `content` is the page (or, for `.xor`, pre-image XOR result; for a removal its pre-image),
    /// and nil for a removal without content. It is copied.
    package func append(
        page entry: PageEntry,
        content bytes: UnsafeRawBufferPointer?
    ) throws(SegmentError) {
        try checkUsable()
        try check(commits.add(entry))
        guard (bytes?.count ?? 0) == (entry.change.hasContent ? pageSize.bytes : 0) else {
            return try check("the content of page \(entry.page) has a wrong length")
        }
        if let bytes {
            try makeRoomForPage()
            if content.count == 0 { content.txid = commits.txid }
            workspace.content.append(contentsOf: bytes)
            content.count += 1
            totals.contentBytes += UInt64(bytes.count)
        }
        try makeRoomForRecord(RecordCode.pageSize)
        entry.append(to: &workspace.meta)
        meta.count += 1
        totals.entries += 1
    }

    /// Ends the commit that the pages appended since the last one belong to.
    package func endCommit(_ commit: CommitRecord) throws(SegmentError) {
        var record = commit
        record.entryCount = commits.entryCount
        try checkUsable()
        try makeRoomForRecord(RecordCode.commitSize)
        try check(commits.end(record))
        record.append(to: &workspace.meta)
        meta.count += 1
        totals.commits += 1
        if firstTime == nil { firstTime = record.seenAt }
        last = record
    }

    /// Ends the segment.
    ///
    /// `position` is the place in the WAL after its last commit.
    package func finish(position: WALPosition?) throws(SegmentError) -> FinishedSegment {
        try checkUsable()
        guard commits.entryCount == 0, let last, let firstTime else {
            throw SegmentError(.misuse, "a segment ends after a commit, and holds at least one")
        }
        try flushContent()
        try flushMeta()
        isClosed = true
        return try assembler.finish(
            SegmentSummary(
                maxTXID: last.txid,
                firstTime: firstTime,
                lastTime: last.seenAt,
                digestAfter: last.digest,
                pageCountAfter: last.pageCount,
                position: position,
                commitCount: totals.commits,
                entryCount: totals.entries
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

    /// Commits ended so far.
    package var commitCount: UInt64 { totals.commits }

    /// Content bytes appended so far, before compression.
    package var rawContentByteCount: UInt64 { totals.contentBytes }

    private func checkUsable() throws(SegmentError) {
        guard !isClosed else {
            throw SegmentError(.misuse, "the encoder has finished, or failed before")
        }
    }

    private func check(_ problem: String?) throws(SegmentError) {
        guard let problem else { return }
        isClosed = true
        throw SegmentError(.misuse, at: assembler.length, problem)
    }

    private func makeRoomForPage() throws(SegmentError) {
        let held = workspace.content.count
        if held > 0, held + pageSize.bytes > SegmentLimits.logBlockTarget { try flushContent() }
    }

    private func makeRoomForRecord(_ size: Int) throws(SegmentError) {
        if workspace.meta.count + size > SegmentLimits.metaBlockBytes { try flushMeta() }
        if meta.count == 0 { meta.txid = commits.txid }
    }

    private func flushContent() throws(SegmentError) {
        guard content.count > 0 else { return }
        let block = content
        isClosed = true
        try assembler.writeContent(count: block.count, first: block.first, txid: block.txid)
        content = OpenBlock(first: block.first + UInt64(block.count))
        isClosed = false
    }

    private func flushMeta() throws(SegmentError) {
        guard meta.count > 0 else { return }
        let block = meta
        isClosed = true
        try assembler.writeMeta(count: block.count, first: block.first, txid: block.txid)
        meta = OpenBlock(first: block.first + UInt64(block.count))
        isClosed = false
    }
}
