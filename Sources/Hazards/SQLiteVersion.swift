/// A version of SQLite.
package struct SQLiteVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// As in 3.40.1.
    package let major: UInt32
    package let minor: UInt32
    package let patch: UInt32

    /// A version by its parts.
    package init(_ major: UInt32, _ minor: UInt32, _ patch: UInt32) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// A version as the database header holds it at offset 96: 3040001.
    package init?(number: UInt32) {
        guard number >= 3_000_000, number < 5_000_000 else { return nil }
        self.init(number / 1_000_000, number / 1000 % 1000, number % 1000)
    }

    /// A version as in "3.40.1".
    package init?(text: some StringProtocol) {
        let parts = text.split(separator: ".").map { UInt32($0) }
        guard (2...4).contains(parts.count), let major = parts[0], let minor = parts[1] else {
            return nil
        }
        self.init(major, minor, parts.count > 2 ? parts[2] ?? 0 : 0)
    }

    package static func < (a: Self, b: Self) -> Bool {
        (a.major, a.minor, a.patch) < (b.major, b.minor, b.patch)
    }

    package var description: String { "\(major).\(minor).\(patch)" }

    /// sqlite.org/wal.html §11: since 3.7.0 a checkpoint that meets a reset can lose commits; fixed
    /// in 3.51.3, 3.50.7 and 3.44.6.
    package var hasWALResetBug: Bool {
        guard self >= SQLiteVersion(3, 7, 0), self < SQLiteVersion(3, 51, 3) else { return false }
        if major == 3, minor == 50 { return patch < 7 }
        if major == 3, minor == 44 { return patch < 6 }
        return true
    }
}
