package import Bytes
import PageHashing

/// The last 144 bytes of a segment: everything known only when it is finished.
package struct SegmentFooter: Hashable, Sendable {
    /// Where the block table begins in the file, in bytes.
    package var tableOffset: UInt64
    /// The block table's length in bytes.
    package var tableLength: UInt32
    /// How many blocks the table lists.
    package var blockCount: UInt32
    /// XXH3-64 of the block table.
    package var tableChecksum: UInt64
    /// The last commit held; of a snapshot the TXID whose state it serves.
    package var maxTXID: TXID
    /// When the first commit was seen; of a snapshot its time.
    package var firstTime: Timestamp
    /// When the last commit was seen; of a snapshot its time.
    package var lastTime: Timestamp
    /// The digest of the state at `maxTXID`, when known.
    package var digestAfter: DatabaseDigest?
    /// The page count of the state at `maxTXID`.
    package var pageCountAfter: UInt32
    /// The place in the WAL after the last commit, when there is one.
    package var position: WALPosition?
    /// How many commits a log segment or pack holds; zero for levels and snapshots.
    package var commitCount: UInt64
    /// How many page records a log segment, pack or level holds, or how many pages a snapshot.
    package var entryCount: UInt64
    /// XXH3-128 of the file up to this field: what the next segment's link names.
    package var checksum: SegmentChecksum

    /// Bytes of every footer.
    package static let encodedSize = 144
    /// Bytes of the footer before the checksum of the file, and covered by it.
    static let coveredSize = 112

    static let magic: [UInt8] = Array("HWend\u{1a}\n\0".utf8)
    private static let digestKnown: UInt32 = 1
    private static let positionPresent: UInt32 = 2

    init(
        layout: (tableOffset: UInt64, tableLength: UInt32, blockCount: UInt32),
        tableChecksum: UInt64,
        summary: SegmentSummary
    ) {
        tableOffset = layout.tableOffset
        tableLength = layout.tableLength
        blockCount = layout.blockCount
        self.tableChecksum = tableChecksum
        maxTXID = summary.maxTXID
        firstTime = summary.firstTime.storable
        lastTime = summary.lastTime.storable
        digestAfter = summary.digestAfter
        pageCountAfter = summary.pageCountAfter
        position = summary.position
        commitCount = summary.commitCount
        entryCount = summary.entryCount
        checksum = .zero
    }

    /// The footer's 144 bytes.
    package func encode() -> [UInt8] {
        var out = encodeCovered()
        out.append(checksum)
        out.append(littleEndian: Checksum64.of(out))
        out += Self.magic
        assert(out.count == Self.encodedSize)
        return out
    }

    /// The bytes before the checksum of the file.
    func encodeCovered() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(Self.encodedSize)
        out.append(littleEndian: tableOffset)
        out.append(littleEndian: tableLength)
        out.append(littleEndian: blockCount)
        out.append(littleEndian: tableChecksum)
        out.append(littleEndian: maxTXID.rawValue)
        out.append(littleEndian: firstTime.milliseconds)
        out.append(littleEndian: lastTime.milliseconds)
        out.append(digestAfter ?? .zero)
        out.append(littleEndian: pageCountAfter)
        let flags =
            (digestAfter == nil ? 0 : Self.digestKnown)
            | (position == nil ? 0 : Self.positionPresent)
        out.append(littleEndian: flags)
        out.append(littleEndian: position?.salts.salt1 ?? 0)
        out.append(littleEndian: position?.salts.salt2 ?? 0)
        out.append(littleEndian: position?.frame ?? 0)
        out.append(littleEndian: position?.checksum.first ?? 0)
        out.append(littleEndian: position?.checksum.second ?? 0)
        out.append(littleEndian: UInt32(0))
        out.append(littleEndian: commitCount)
        out.append(littleEndian: entryCount)
        assert(out.count == Self.coveredSize)
        return out
    }

    /// The footer in exactly 144 bytes, which begin at `offset` in the file (for errors).
    package init(decoding bytes: [UInt8], offset: UInt64 = 0) throws(SegmentError) {
        try self.init(decoding: bytes[...], offset: offset)
    }

    init(decoding bytes: ArraySlice<UInt8>, offset: UInt64) throws(SegmentError) {
        try Self.checkFrame(bytes, offset: offset)
        var fields = FieldReader(bytes, base: offset)
        tableOffset = fields.next()
        tableLength = fields.next()
        blockCount = fields.next()
        tableChecksum = fields.next()
        maxTXID = TXID(fields.next())
        firstTime = Timestamp(milliseconds: fields.next())
        lastTime = Timestamp(milliseconds: fields.next())
        let digest = fields.hash()
        pageCountAfter = fields.next()
        let flags: UInt32 = fields.next()
        try checkFlags(
            flags,
            known: Self.digestKnown | Self.positionPresent,
            at: offset &+ 68,
            in: "the footer"
        )
        let salts = WALSalts(salt1: fields.next(), salt2: fields.next())
        let place = WALPosition(
            salts: salts,
            frame: fields.next(),
            checksum: WALChecksum(first: fields.next(), second: fields.next())
        )
        try fields.reserved(4, in: "the footer")
        digestAfter = flags & Self.digestKnown == 0 ? nil : digest
        position = flags & Self.positionPresent == 0 ? nil : place
        commitCount = fields.next()
        entryCount = fields.next()
        checksum = fields.hash()
        guard digestAfter != nil || digest == .zero, position != nil || place == .none else {
            throw SegmentError(
                .invalidField,
                at: offset &+ 48,
                "the footer has a digest or position without its flag"
            )
        }
        try validate(at: offset)
    }

    private static func checkFrame(
        _ bytes: ArraySlice<UInt8>,
        offset: UInt64
    ) throws(SegmentError) {
        guard bytes.count == encodedSize else {
            throw SegmentError(.wrongLength, at: offset, "the footer is cut off")
        }
        guard bytes.suffix(8).elementsEqual(magic) else {
            throw SegmentError(
                .wrongLength,
                at: offset &+ 136,
                "the bytes do not end a segment: cut off, or followed by others"
            )
        }
        let checksum = bytes.span.bytes.littleEndian(at: 128, as: UInt64.self)
        guard Checksum64.of(bytes.prefix(128)) == checksum else {
            throw SegmentError(
                .checksumMismatch,
                at: offset &+ 128,
                "the footer's checksum is wrong"
            )
        }
    }

    private func validate(at offset: UInt64) throws(SegmentError) {
        guard maxTXID <= SegmentLimits.maxTXID else {
            throw SegmentError(.invalidField, at: offset &+ 24, "the last TXID is impossible")
        }
        let zero = Timestamp(milliseconds: 0)
        guard zero <= firstTime, firstTime <= SegmentLimits.maxTime, zero <= lastTime,
            lastTime <= SegmentLimits.maxTime
        else { throw SegmentError(.invalidField, at: offset &+ 32, "a time is impossible") }
        guard pageCountAfter <= SegmentLimits.maxPageCount else {
            throw SegmentError(.invalidField, at: offset &+ 64, "the page count is impossible")
        }
        guard UInt64(tableLength) == UInt64(blockCount) * UInt64(BlockEntry.encodedSize) else {
            throw SegmentError(
                .inconsistent,
                at: offset &+ 8,
                "the block table's length does not fit its \(blockCount) blocks"
            )
        }
    }
}

/// What a footer says about the commits, as the encoders know it at the end.
struct SegmentSummary {
    var maxTXID: TXID
    var firstTime: Timestamp
    var lastTime: Timestamp
    var digestAfter: DatabaseDigest?
    var pageCountAfter: UInt32
    var position: WALPosition?
    var commitCount: UInt64
    var entryCount: UInt64
}

extension WALPosition {
    /// What is stored for an absent position.
    static let none = WALPosition(salts: WALSalts(salt1: 0, salt2: 0), frame: 0, checksum: .zero)
}
