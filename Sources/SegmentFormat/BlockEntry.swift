package import Bytes

/// The kinds of blocks.
package enum BlockKind: UInt8, Sendable {
    /// Records (log, pack, level) or page hashes (snapshot).
    case meta = 1
    /// Whole pages.
    case content = 2
    /// Headers and footers of the log segments that a pack was made of.
    case members = 3
}

/// One line of the block table: where a block lies and what it holds.
package struct BlockEntry: Hashable, Sendable {
    /// What the block holds.
    package var kind: BlockKind
    /// Records of a meta block (in a snapshot hashes), pages, or members.
    package var count: UInt32
    /// Where the block begins in the file, in bytes.
    package var offset: UInt64
    /// The block's length in the file, in bytes.
    package var storedLength: UInt32
    /// The block's length after decompression, in bytes.
    package var rawLength: UInt32
    /// XXH3-64 of the bytes in the file.
    package var checksum: UInt64
    /// What the block begins with.
    ///
    /// Snapshot and level: the first page. Log and pack: the ordinal (from 0) of the block's first
    /// record, page or member, in its stream.
    package var first: UInt64
    /// The slice of a snapshot; the end of a level's window; in a log or pack the commit that the
    /// first record or page belongs to, or the first member's first one.
    package var txid: TXID

    /// Bytes of every entry.
    package static let encodedSize = 48

    /// Where the block lies in the file.
    package var range: Range<UInt64> { offset..<offset + UInt64(storedLength) }

    func append(to out: inout [UInt8]) {
        out.append(kind.rawValue)
        out += [0, 0, 0]
        out.append(littleEndian: count)
        out.append(littleEndian: offset)
        out.append(littleEndian: storedLength)
        out.append(littleEndian: rawLength)
        out.append(littleEndian: checksum)
        out.append(littleEndian: first)
        out.append(littleEndian: txid.rawValue)
    }

    init(
        kind: BlockKind,
        count: UInt32,
        offset: UInt64,
        storedLength: UInt32,
        rawLength: UInt32,
        checksum: UInt64,
        first: UInt64,
        txid: TXID
    ) {
        self.kind = kind
        self.count = count
        self.offset = offset
        self.storedLength = storedLength
        self.rawLength = rawLength
        self.checksum = checksum
        self.first = first
        self.txid = txid
    }

    init(decoding fields: inout FieldReader) throws(SegmentError) {
        let place = fields.offset
        guard let kind = BlockKind(rawValue: fields.next()) else {
            throw SegmentError(.unsupported, at: place, "the block table has an unknown kind")
        }
        self.kind = kind
        try fields.reserved(3, in: "the block table")
        count = fields.next()
        offset = fields.next()
        storedLength = fields.next()
        rawLength = fields.next()
        checksum = fields.next()
        first = fields.next()
        txid = TXID(fields.next())
    }
}
