import Bytes

/// What a page of a b-tree points to (sqlite.org/fileformat.html §1.6).
///
/// Bounds are checked everywhere: the pages may be of a database that was damaged before it was
/// backed up.
struct BTreePage {
    /// The pages below, if it is an interior page.
    var children: [UInt32] = []
    /// The first pages of overflow chains.
    var overflows: [UInt32] = []
    /// The cells' payloads, as far as they lie in the page, and where they go on.
    var payloads: [(size: Int, local: Range<Int>, overflow: UInt32)] = []

    /// The page, or nil when it is none of a b-tree.
    ///
    /// `usable` is the page size without the bytes reserved at its end.
    init?(_ page: UnsafeRawBufferPointer, isFirst: Bool, usable: Int) {
        let start = isFirst ? 100 : 0
        guard usable >= 480, page.count >= usable, let kind = Kind(rawValue: page[start]) else {
            return nil
        }
        let cells = Int(page.big16(at: start + 3))
        let pointers = start + (kind.isInterior ? 12 : 8)
        guard pointers + 2 * cells <= usable else { return nil }
        for index in 0..<cells {
            let place = Int(page.big16(at: pointers + 2 * index))
            guard place >= pointers, place + 4 <= usable else { return nil }
            add(cell: place, kind, page, usable)
        }
        if kind.isInterior { children.append(page.big32(at: start + 8)) }
    }

    private enum Kind: UInt8 {
        case interiorIndex = 2
        case interiorTable = 5
        case leafIndex = 10
        case leafTable = 13

        var isInterior: Bool { self == .interiorIndex || self == .interiorTable }
        var isTable: Bool { self == .interiorTable || self == .leafTable }
    }

    private mutating func add(
        cell start: Int,
        _ kind: Kind,
        _ page: UnsafeRawBufferPointer,
        _ usable: Int
    ) {
        var place = start
        if kind.isInterior {
            children.append(page.big32(at: place))
            place += 4
        }
        guard kind != .interiorTable, let size = page.varint(&place, limit: usable) else { return }
        if kind == .leafTable { _ = page.varint(&place, limit: usable) }
        guard size <= UInt64(UInt32.max) else { return }
        let total = Int(size)
        let most = kind.isTable ? usable - 35 : (usable - 12) * 64 / 255 - 23
        var local = total
        if total > most {
            let least = (usable - 12) * 32 / 255 - 23
            let fitting = least + (total - least) % (usable - 4)
            local = fitting <= most ? fitting : least
        }
        guard local >= 0, place + local + (total > most ? 4 : 0) <= usable else { return }
        var overflow: UInt32 = 0
        if total > most {
            overflow = page.big32(at: place + local)
            overflows.append(overflow)
        }
        payloads.append((total, place..<place + local, overflow))
    }
}

extension UnsafeRawBufferPointer {
    /// A big-endian number; the caller has checked that it is inside.
    func big16(at offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }

    /// A big-endian number; the caller has checked that it is inside.
    func big32(at offset: Int) -> UInt32 {
        UInt32(big16(at: offset)) << 16 | UInt32(big16(at: offset + 2))
    }

    /// SQLite's variable-length integer (sqlite.org/fileformat.html §1.6); nil beyond `limit`.
    func varint(_ place: inout Int, limit: Int) -> UInt64? {
        var value: UInt64 = 0
        for index in 0..<9 {
            guard place < Swift.min(limit, count) else { return nil }
            let byte = self[place]
            place += 1
            if index == 8 { return value << 8 | UInt64(byte) }
            value = value << 7 | UInt64(byte & 0x7f)
            if byte & 0x80 == 0 { return value }
        }
        return value
    }
}
