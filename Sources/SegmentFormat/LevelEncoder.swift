package import Bytes
import PageHashing

/// The state at the end of a level's window, and the window's times.
package struct LevelEnd: Hashable, Sendable {
    /// The last commit of the window.
    package var txid: TXID
    /// The digest of the state after it.
    package var digest: DatabaseDigest
    /// The page count of the state after it.
    package var pageCount: UInt32
    /// When the window's first commit was seen.
    package var firstTime: Timestamp
    /// When its last commit was seen.
    package var lastTime: Timestamp
    /// The place in the WAL after the last commit, when it is known.
    package var position: WALPosition?

    /// The end of a window.
    package init(
        txid: TXID,
        digest: DatabaseDigest,
        pageCount: UInt32,
        firstTime: Timestamp,
        lastTime: Timestamp,
        position: WALPosition? = nil
    ) {
        self.txid = txid
        self.digest = digest
        self.pageCount = pageCount
        self.firstTime = firstTime
        self.lastTime = lastTime
        self.position = position
    }
}

/// Writes a level: for a window (a, b] the pages that changed in it, each once, as of b.
///
/// Hashes the pages itself. `finish` proves that the pages account for the whole difference of the
/// two digests, so that a page forgotten or read at another commit cannot go unnoticed. Misuse
/// throws, and so does everything after it. Holds some 17 bytes for each page until the end,
/// where a level's index lies. Not thread-safe.
package final class LevelEncoder {
    private var assembler: SegmentAssembler
    private let workspace: SegmentWorkspace
    private let end: LevelEnd
    private let digestBefore: DatabaseDigest
    private var sequence: LevelSequence
    private var entryCount: UInt64 = 0
    private var content = (first: UInt64(0), count: 0)
    private var meta = (first: UInt64(0), count: 0)
    private var index: [(entry: BlockEntry, stored: [UInt8])] = []
    private var isClosed = false

    /// Begins the level of the window from `header.minTXID` − 1 to `end`.
    package init(
        header: SegmentHeader,
        end: LevelEnd,
        workspace: SegmentWorkspace = SegmentWorkspace()
    ) throws(SegmentError) {
        guard header.kind == .level, let digest = header.digestBefore,
            end.txid >= header.minTXID, end.txid <= SegmentLimits.maxTXID,
            end.pageCount <= SegmentLimits.maxPageCount
        else { throw SegmentError(.misuse, "a level's header or end is wrong") }
        self.workspace = workspace
        self.end = end
        digestBefore = digest
        sequence = LevelSequence(
            pageSize: header.pageSize,
            before: header.pageCountBefore,
            after: end.pageCount
        )
        assembler = try SegmentAssembler(header: header, workspace: workspace)
    }

    /// The level's key below its generation's folder.
    package var name: SegmentName {
        SegmentName(
            kind: .level,
            level: assembler.header.level,
            minTXID: assembler.header.minTXID,
            maxTXID: end.txid,
            time: end.lastTime,
            writer: assembler.header.writer
        )
    }

    /// Adds the next page, in ascending order, as of the window's end.
    ///
    /// `hashBefore` is the low half of its hash at the window's start; nil when it was not there.
    package func append(
        page: PageNumber,
        hashBefore: UInt64?,
        content bytes: UnsafeRawBufferPointer
    ) throws(SegmentError) {
        try checkUsable()
        let size = assembler.header.pageSize.bytes
        guard bytes.count == size else {
            return try check("the content of page \(page) has a wrong length")
        }
        let held = workspace.content.count
        if held > 0, held + size > SegmentLimits.snapshotBlockTarget { try flushContent() }
        let hash = PageHasher.hash(bytes, number: page)
        try add(
            PageEntry(
                change: .whole,
                page: page,
                isNew: hashBefore == nil,
                preHash: hashBefore,
                resultHash: hash.low
            )
        )
        if content.count == 0 { content.first = UInt64(page.rawValue) }
        content.count += 1
        workspace.content.append(contentsOf: bytes)
    }

    /// The same.
    package func append(
        page: PageNumber,
        hashBefore: UInt64?,
        content: [UInt8]
    ) throws(SegmentError) {
        let result: Result<Void, SegmentError> = content.withUnsafeBytes { bytes in
            Result { () throws(SegmentError) in
                try append(page: page, hashBefore: hashBefore, content: bytes)
            }
        }
        try result.get()
    }

    /// Adds the next page, in ascending order, which the database no longer has at the end.
    package func append(removed page: PageNumber, hashBefore: UInt64) throws(SegmentError) {
        try checkUsable()
        try add(
            PageEntry(
                change: .removed(hasContent: false),
                page: page,
                preHash: hashBefore,
                resultHash: 0
            )
        )
    }

    /// Ends the level, if its pages are proven to be all that changed.
    package func finish() throws(SegmentError) -> FinishedSegment {
        try checkUsable()
        try check(sequence.end(digestBefore: digestBefore, digestAfter: end.digest))
        try flushContent()
        try flushMeta()
        isClosed = true
        for block in index { assembler.write(block.entry, block.stored[...]) }
        index = []
        return try assembler.finish(
            SegmentSummary(
                maxTXID: end.txid,
                firstTime: end.firstTime,
                lastTime: end.lastTime,
                digestAfter: end.digest,
                pageCountAfter: end.pageCount,
                position: end.position,
                commitCount: 0,
                entryCount: entryCount
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

    private func add(_ entry: PageEntry) throws(SegmentError) {
        try check(sequence.add(entry))
        if workspace.meta.count + RecordCode.pageSize > SegmentLimits.metaBlockBytes {
            try flushMeta()
        }
        if meta.count == 0 { meta.first = UInt64(entry.page.rawValue) }
        meta.count += 1
        entry.append(to: &workspace.meta)
        entryCount += 1
    }

    private func flushContent() throws(SegmentError) {
        guard content.count > 0 else { return }
        isClosed = true
        try assembler.writeContent(count: content.count, first: content.first, txid: end.txid)
        content = (0, 0)
        isClosed = false
    }

    private func flushMeta() throws(SegmentError) {
        guard meta.count > 0 else { return }
        isClosed = true
        let stored = try assembler.frame(of: workspace.meta)
        let entry = BlockEntry(
            kind: .meta,
            count: UInt32(meta.count),
            offset: 0,
            storedLength: UInt32(stored.count),
            rawLength: UInt32(workspace.meta.count),
            checksum: Checksum64.of(stored),
            first: meta.first,
            txid: end.txid
        )
        index.append((entry, Array(stored)))
        workspace.meta.removeAll(keepingCapacity: true)
        meta = (0, 0)
        isClosed = false
    }

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
}
