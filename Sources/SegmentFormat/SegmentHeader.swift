package import Bytes
import PageHashing

/// The first 144 bytes of a segment: everything known when it is begun.
package struct SegmentHeader: Hashable, Sendable {
    /// What the segment holds.
    package var kind: SegmentKind
    /// 0 for logs and packs, 0xff for snapshots, the level between for level segments.
    package var level: UInt8
    /// The database's page size.
    package var pageSize: PageSize
    /// The first commit held; of a snapshot the TXID of its first slice.
    package var minTXID: TXID
    /// The process that wrote the segment; of a pack the one that wrote its last member.
    package var writer: WriterTag
    /// The checksum of the log segment that ends at `minTXID` − 1; nil for the first log segment
    /// after its generation's base, for levels and for snapshots. A pack has its first member's.
    package var link: SegmentChecksum?
    /// The digest of the state at `minTXID` − 1, when known; nil for snapshots.
    package var digestBefore: DatabaseDigest?
    /// The page count of the state at `minTXID` − 1; zero for snapshots.
    package var pageCountBefore: UInt32
    /// The generation that the segment belongs to.
    package var generation: GenerationID

    /// Bytes of every header.
    package static let encodedSize = 144

    static let magic: [UInt8] = Array("HWsegm\u{1a}\n".utf8)
    static let formatVersion: UInt16 = 1
    private static let digestKnown: UInt32 = 1
    private static let linkPresent: UInt32 = 2
    private static let reservedSize = 36

    /// A header; without `level` the kind's lowest.
    package init(
        kind: SegmentKind,
        level: UInt8? = nil,
        pageSize: PageSize,
        minTXID: TXID,
        writer: WriterTag,
        link: SegmentChecksum? = nil,
        digestBefore: DatabaseDigest? = nil,
        pageCountBefore: UInt32 = 0,
        generation: GenerationID
    ) {
        self.kind = kind
        self.level = level ?? kind.levels.lowerBound
        self.pageSize = pageSize
        self.minTXID = minTXID
        self.writer = writer
        self.link = link
        self.digestBefore = digestBefore
        self.pageCountBefore = pageCountBefore
        self.generation = generation
    }

    /// The header's 144 bytes.
    package func encode() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(Self.encodedSize)
        out += Self.magic
        out.append(littleEndian: Self.formatVersion)
        out.append(kind.rawValue)
        out.append(level)
        out.append(littleEndian: UInt32(pageSize.bytes))
        out.append(littleEndian: minTXID.rawValue)
        out.append(littleEndian: writer.rawValue)
        out.append(link ?? .zero)
        out.append(digestBefore ?? .zero)
        out.append(littleEndian: pageCountBefore)
        let flags =
            (digestBefore == nil ? 0 : Self.digestKnown) | (link == nil ? 0 : Self.linkPresent)
        out.append(littleEndian: flags)
        out += generation.text.utf8
        out += [UInt8](repeating: 0, count: Self.reservedSize)
        out.append(littleEndian: Checksum64.of(out))
        assert(out.count == Self.encodedSize)
        return out
    }

    /// The header in exactly 144 bytes.
    package init(decoding bytes: [UInt8]) throws(SegmentError) {
        try self.init(decoding: bytes[...])
    }

    init(decoding bytes: ArraySlice<UInt8>) throws(SegmentError) {
        try Self.checkFrame(bytes)
        var fields = FieldReader(bytes, base: 0)
        _ = fields.take(10)
        let kind = SegmentKind(rawValue: fields.next())
        guard let kind else {
            throw SegmentError(.unsupported, at: 10, "the header names an unknown kind")
        }
        self.kind = kind
        level = fields.next()
        guard let pageSize = PageSize(Int(fields.next(UInt32.self))) else {
            throw SegmentError(.invalidField, at: 12, "the header's page size is impossible")
        }
        self.pageSize = pageSize
        minTXID = TXID(fields.next())
        writer = WriterTag(fields.next())
        let link = fields.hash()
        let digest = fields.hash()
        pageCountBefore = fields.next()
        let flags: UInt32 = fields.next()
        try checkFlags(flags, known: Self.digestKnown | Self.linkPresent, at: 68, in: "the header")
        guard flags & Self.linkPresent != 0 || link == .zero,
            flags & Self.digestKnown != 0 || digest == .zero
        else { throw SegmentError(.invalidField, at: 32, "the header has a hash without its flag") }
        self.link = flags & Self.linkPresent == 0 ? nil : link
        digestBefore = flags & Self.digestKnown == 0 ? nil : digest
        let name = String(decoding: fields.take(GenerationID.length), as: UTF8.self)
        guard let generation = GenerationID(name) else {
            throw SegmentError(.invalidField, at: 72, "the header's generation is not a name")
        }
        self.generation = generation
        try fields.reserved(Self.reservedSize, in: "the header")
        try validate(.invalidField)
    }

    /// Length, magic, version and checksum, in the order in which they say most.
    private static func checkFrame(_ bytes: ArraySlice<UInt8>) throws(SegmentError) {
        guard bytes.count >= 10, bytes.prefix(8).elementsEqual(magic) else {
            throw SegmentError(
                bytes.count < 10 ? .wrongLength : .foreign,
                at: 0,
                "the bytes do not begin a segment"
            )
        }
        let version = bytes.span.bytes.littleEndian(at: 8, as: UInt16.self)
        guard bytes.count == encodedSize else {
            throw SegmentError(.wrongLength, at: UInt64(bytes.count), "the header is cut off")
        }
        let body = bytes.prefix(encodedSize - 8)
        let checksum = bytes.span.bytes.littleEndian(at: encodedSize - 8, as: UInt64.self)
        guard Checksum64.of(body) == checksum else {
            throw SegmentError(.checksumMismatch, at: 136, "the header's checksum is wrong")
        }
        guard version == formatVersion else {
            throw SegmentError(.unsupported, at: 8, "the segment has format version \(version)")
        }
    }

    /// The rules that tie fields to each other; what is broken is reported as `code`.
    func validate(_ code: SegmentError.Code) throws(SegmentError) {
        guard kind.levels.contains(level) else {
            throw SegmentError(code, at: 11, "no \(kind) stands at level \(level)")
        }
        guard minTXID <= SegmentLimits.maxTXID, kind == .snapshot || minTXID > .zero else {
            throw SegmentError(code, at: 16, "the first TXID \(minTXID) names no commit")
        }
        guard pageCountBefore <= SegmentLimits.maxPageCount else {
            throw SegmentError(code, at: 64, "the page count before is impossible")
        }
        guard kind != .snapshot || (link == nil && digestBefore == nil && pageCountBefore == 0)
        else { throw SegmentError(code, at: 32, "a snapshot has no state before it") }
        guard kind != .level || (link == nil && digestBefore != nil) else {
            throw SegmentError(code, at: 32, "a level has a digest before it, and no link")
        }
    }
}
