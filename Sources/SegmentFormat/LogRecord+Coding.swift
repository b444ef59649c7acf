import Bytes

/// The bytes of the records: one type byte, one of flags, two zero, then fields.
enum RecordCode {
    static let whole: UInt8 = 1
    static let xor: UInt8 = 2
    static let removedWithContent: UInt8 = 3
    static let removed: UInt8 = 4
    static let commit: UInt8 = 16

    static let pageSize = 24
    static let commitSize = 56

    static let preHashKnown: UInt8 = 1
    static let pageIsNew: UInt8 = 2
    static let digestKnown: UInt8 = 1
    static let bridge: UInt8 = 2
}

extension PageEntry {
    /// Appends the record's 24 bytes.
    func append(to out: inout [UInt8]) {
        let code: UInt8 =
            switch change {
            case .whole: RecordCode.whole
            case .xor: RecordCode.xor
            case .removed(hasContent: true): RecordCode.removedWithContent
            case .removed(hasContent: false): RecordCode.removed
            }
        let flags =
            (preHash == nil ? 0 : RecordCode.preHashKnown) | (isNew ? RecordCode.pageIsNew : 0)
        let head = UInt64(code) | UInt64(flags) << 8 | UInt64(page.rawValue) << 32
        out.append(littleEndian: head)
        out.append(littleEndian: preHash ?? 0)
        out.append(littleEndian: resultHash)
    }

    /// The record whose type byte was `code`; the reader stands behind it.
    init(code: UInt8, decoding fields: inout FieldReader) throws(SegmentError) {
        let place = fields.offset &- 1
        let flags: UInt8 = fields.next()
        let known = RecordCode.preHashKnown | RecordCode.pageIsNew
        try checkFlags(flags, known: known, at: place, in: "a page record")
        try fields.reserved(2, in: "a page record")
        page = PageNumber(fields.next())
        let pre: UInt64 = fields.next()
        resultHash = fields.next()
        isNew = flags & RecordCode.pageIsNew != 0
        preHash = flags & RecordCode.preHashKnown == 0 ? nil : pre
        switch code {
        case RecordCode.whole: change = .whole
        case RecordCode.xor: change = .xor
        case RecordCode.removedWithContent: change = .removed(hasContent: true)
        default: change = .removed(hasContent: false)
        }
        guard preHash != nil || pre == 0, !(isNew && preHash != nil),
            !change.isRemoval || (resultHash == 0 && !isNew)
        else {
            throw SegmentError(
                .invalidField,
                at: place,
                "the record of page \(page) has hashes that its flags exclude"
            )
        }
    }
}

extension CommitRecord {
    /// Appends the record's 56 bytes.
    func append(to out: inout [UInt8]) {
        let flags =
            (digest == nil ? 0 : RecordCode.digestKnown) | (isBridge ? RecordCode.bridge : 0)
        let head =
            UInt64(RecordCode.commit) | UInt64(flags) << 8 | UInt64(pageCount) << 32
        out.append(littleEndian: head)
        out.append(littleEndian: txid.rawValue)
        out.append(littleEndian: notSeenAt.storable.milliseconds)
        out.append(littleEndian: seenAt.storable.milliseconds)
        out.append(littleEndian: entryCount)
        out.append(littleEndian: lastFrame)
        out.append(digest ?? .zero)
    }

    /// The record; the reader stands behind its type byte.
    init(decoding fields: inout FieldReader) throws(SegmentError) {
        let place = fields.offset &- 1
        let flags: UInt8 = fields.next()
        let known = RecordCode.digestKnown | RecordCode.bridge
        try checkFlags(flags, known: known, at: place, in: "a commit record")
        try fields.reserved(2, in: "a commit record")
        pageCount = fields.next()
        txid = TXID(fields.next())
        notSeenAt = Timestamp(milliseconds: fields.next())
        seenAt = Timestamp(milliseconds: fields.next())
        entryCount = fields.next()
        lastFrame = fields.next()
        digest = try fields.hash(
            known: flags & RecordCode.digestKnown != 0,
            in: "the record of commit \(txid)"
        )
        isBridge = flags & RecordCode.bridge != 0
        guard notSeenAt == notSeenAt.storable, seenAt == seenAt.storable,
            pageCount <= SegmentLimits.maxPageCount
        else {
            throw SegmentError(
                .invalidField,
                at: place,
                "the record of commit \(txid) has an impossible time or page count"
            )
        }
    }
}

extension LogRecord {
    /// The next record of a meta block's content.
    static func next(_ fields: inout FieldReader) throws(SegmentError) -> LogRecord {
        let place = fields.offset
        let code = fields.remaining > 0 ? fields.next(UInt8.self) : 0
        let size: Int
        switch code {
        case RecordCode.whole...RecordCode.removed: size = RecordCode.pageSize
        case RecordCode.commit: size = RecordCode.commitSize
        default:
            throw SegmentError(.unsupported, at: place, "a record has an unknown type \(code)")
        }
        guard fields.remaining >= size - 1 else {
            throw SegmentError(.wrongLength, at: place, "a meta block ends within a record")
        }
        if code == RecordCode.commit { return .commit(try CommitRecord(decoding: &fields)) }
        return .page(try PageEntry(code: code, decoding: &fields))
    }
}
