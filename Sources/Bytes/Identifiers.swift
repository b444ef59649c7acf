/// The number of a commit: 64 bits, one more for each commit of a database's timeline.
///
/// Printed, stored in key names and accepted as exactly 16 hexadecimal digits.
package struct TXID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number itself. Zero is "before the first commit" and names no commit.
    package var rawValue: UInt64

    /// Before the first commit.
    package static let zero = TXID(0)

    /// The commit with this number.
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// Sixteen hexadecimal digits, or nil for anything else.
    package init?(hex text: some StringProtocol) {
        guard let value = Hex.parse(text, digits: 16) else { return nil }
        self.init(value)
    }

    /// The next commit. Traps at the end of the number space, which no database reaches.
    package var next: TXID { TXID(rawValue + 1) }

    /// The commit before this one; zero has none.
    package var previous: TXID { TXID(rawValue - 1) }

    package static func < (a: TXID, b: TXID) -> Bool { a.rawValue < b.rawValue }

    package var description: String { Hex.string(rawValue, digits: 16) }
}

/// A page's number in a database, from 1 (sqlite.org/fileformat.html §1.2).
package struct PageNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number itself.
    package var rawValue: UInt32

    /// The page with this number.
    package init(_ rawValue: UInt32) { self.rawValue = rawValue }

    package static func < (a: PageNumber, b: PageNumber) -> Bool { a.rawValue < b.rawValue }

    package var description: String { String(rawValue) }
}

/// A database's page size in bytes: a power of two from 512 to 65,536.
package struct PageSize: Hashable, Sendable, CustomStringConvertible {
    /// Bytes per page.
    package let bytes: Int

    /// A page size, or nil when SQLite does not allow it (sqlite.org/fileformat.html §1.3.2).
    package init?(_ bytes: Int) {
        guard bytes >= 512, bytes <= 65536, bytes & (bytes - 1) == 0 else { return nil }
        self.bytes = bytes
    }

    /// The page that holds the lock bytes at 1 GiB. It is never stored: it counts as zero
    /// everywhere (sqlite.org/fileformat.html §1.3.1, `PENDING_BYTE_PAGE`).
    package var lockPage: PageNumber { PageNumber(UInt32(0x4000_0000 / bytes + 1)) }

    /// Where the page begins in the database file, in bytes.
    package func offset(of page: PageNumber) -> Int64 {
        Int64(page.rawValue - 1) * Int64(bytes)
    }

    package var description: String { String(bytes) }
}

/// A number that a process draws at random when it starts and puts into everything it writes, so
/// that two writers of one generation can be told apart.
package struct WriterTag: Hashable, Sendable, CustomStringConvertible {
    /// The number itself.
    package var rawValue: UInt64

    /// The writer with this number.
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// Sixteen hexadecimal digits, or nil for anything else.
    package init?(hex text: some StringProtocol) {
        guard let value = Hex.parse(text, digits: 16) else { return nil }
        self.init(value)
    }

    package var description: String { Hex.string(rawValue, digits: 16) }
}

/// The name of a generation: `YYYYMMDDThhmmssmmmZ-xxxxxxxx`, the time of its creation in UTC and
/// eight random hexadecimal digits. Names sort by creation, and none is 16 hexadecimal digits,
/// which are Litestream 0.3's.
package struct GenerationID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The name; 28 ASCII characters.
    package let text: String

    /// Characters in every name.
    package static let length = 28

    /// The name of a generation created at `time`; `random` makes it unique.
    package init(time: Timestamp, random: UInt32) {
        let c = time.civil
        func pad(_ value: Int, _ digits: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
        }
        text =
            pad(c.year, 4) + pad(c.month, 2) + pad(c.day, 2) + "T" + pad(c.hour, 2)
            + pad(c.minute, 2) + pad(c.second, 2) + pad(c.millisecond, 3) + "Z-"
            + Hex.string(UInt64(random), digits: 8)
    }

    /// The name in `text`, or nil when it does not have a name's shape.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == Self.length, bytes[8] == UInt8(ascii: "T"),
            bytes[18] == UInt8(ascii: "Z"), bytes[19] == UInt8(ascii: "-"),
            (Array(0..<8) + Array(9..<18)).allSatisfy({ (48...57).contains(bytes[$0]) }),
            Hex.parse(text.dropFirst(20), digits: 8) != nil
        else { return nil }
        self.text = text
    }

    package static func < (a: GenerationID, b: GenerationID) -> Bool { a.text < b.text }

    package var description: String { text }
}
