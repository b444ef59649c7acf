import Bytes
import PageHashing
import Zstandard

/// What both encoders do: blocks one after another, then the table, then the footer, and the
/// checksum over all of it.
struct SegmentAssembler: ~Copyable {
    let header: SegmentHeader
    let workspace: SegmentWorkspace
    private let lease: UInt64
    /// Bytes produced and not taken yet.
    private(set) var output: [UInt8]
    /// Where the next byte goes in the file.
    private(set) var length: UInt64 = 0
    private var blocks: [BlockEntry] = []
    private var checksum = ChecksumStream()

    /// Begins a segment; the header is the first output.
    init(header: SegmentHeader, workspace: SegmentWorkspace) throws(SegmentError) {
        try header.validate(.misuse)
        guard let lease = workspace.take() else {
            throw SegmentError(.misuse, "two encoders share one workspace")
        }
        self.lease = lease
        self.header = header
        self.workspace = workspace
        output = []
        emit(header.encode())
    }

    deinit { workspace.giveBack(lease) }

    /// Compresses the workspace's content buffer into a block, and empties it.
    mutating func writeContent(count: Int, first: UInt64, txid: TXID) throws(SegmentError) {
        // A local one: Swift 6.3.1 makes invalid code of a change through the property of a type
        // that cannot be copied, under the thread sanitizer.
        let workspace = workspace
        try compress(workspace.content, .content, count: count, first: first, txid: txid)
        workspace.content.removeAll(keepingCapacity: true)
    }

    /// Compresses the workspace's meta buffer into a block, and empties it.
    mutating func writeMeta(count: Int, first: UInt64, txid: TXID) throws(SegmentError) {
        let workspace = workspace
        try compress(workspace.meta, .meta, count: count, first: first, txid: txid)
        workspace.meta.removeAll(keepingCapacity: true)
    }

    /// Compresses a pack's members, as many as a block holds.
    mutating func writeMembers(
        _ raw: [UInt8],
        first: UInt64,
        txid: TXID
    ) throws(SegmentError) {
        let count = raw.count / PackMember.encodedSize
        try compress(raw, .members, count: count, first: first, txid: txid)
    }

    private mutating func compress(
        _ raw: [UInt8],
        _ kind: BlockKind,
        count: Int,
        first: UInt64,
        txid: TXID
    ) throws(SegmentError) {
        let frame = try self.frame(of: raw)
        let entry = BlockEntry(
            kind: kind,
            count: UInt32(count),
            offset: length,
            storedLength: UInt32(frame.count),
            rawLength: UInt32(raw.count),
            checksum: Checksum64.of(frame),
            first: first,
            txid: txid
        )
        write(entry, frame)
    }

    /// Adds a block that is compressed already; the entry's offset is set to where it comes to lie.
    mutating func write(_ entry: BlockEntry, _ stored: ArraySlice<UInt8>) {
        precondition(stored.count == Int(entry.storedLength), "a block is as long as it says")
        var entry = entry
        entry.offset = length
        blocks.append(entry)
        emit(stored)
    }

    /// The zstd frame of `raw`, in the workspace's memory.
    func frame(of raw: [UInt8]) throws(SegmentError) -> ArraySlice<UInt8> {
        workspace.reserveFrame(for: raw.count)
        let workspace = workspace
        let result: Result<Int, ZstandardError> = raw.withUnsafeBytes { source in
            workspace.frame.withUnsafeMutableBytes { target in
                Result { () throws(ZstandardError) in
                    try workspace.compressor.compress(source, into: target)
                }
            }
        }
        switch result {
        case .success(let stored): return workspace.frame[..<stored]
        case .failure(let error): throw SegmentError(.compression, at: length, error.message)
        }
    }

    /// Writes the table and the footer.
    mutating func finish(_ summary: SegmentSummary) throws(SegmentError) -> FinishedSegment {
        var table: [UInt8] = []
        table.reserveCapacity(blocks.count * BlockEntry.encodedSize)
        for block in blocks { block.append(to: &table) }
        guard let tableLength = UInt32(exactly: table.count) else {
            throw SegmentError(.misuse, at: length, "the segment has too many blocks")
        }
        var footer = SegmentFooter(
            layout: (length, tableLength, UInt32(blocks.count)),
            tableChecksum: Checksum64.of(table),
            summary: summary
        )
        emit(table[...])
        checksum.update(footer.encodeCovered())
        footer.checksum = checksum.finish()
        let bytes = footer.encode()
        output += bytes
        length += UInt64(bytes.count)
        workspace.giveBack(lease)
        return FinishedSegment(
            header: header,
            footer: footer,
            name: SegmentName(header: header, footer: footer),
            byteCount: length
        )
    }

    /// The output so far, which the assembler then forgets.
    mutating func takeOutput() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &output)
        return taken
    }

    private mutating func emit(_ bytes: [UInt8]) { emit(bytes[...]) }

    private mutating func emit(_ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { checksum.update($0) }
        output += bytes
        length += UInt64(bytes.count)
    }
}

/// A segment whose last byte is in the encoder's output.
package struct FinishedSegment: Hashable, Sendable {
    /// Its header.
    package let header: SegmentHeader
    /// Its footer; `footer.checksum` is what the next segment's link names.
    package let footer: SegmentFooter
    /// Its key below the generation's folder.
    package let name: SegmentName
    /// Its length in bytes.
    package let byteCount: UInt64
}
