/// A frame's number in the WAL, from 1; zero is the place before the first frame.
package typealias FrameIndex = UInt32

/// The two salts of a WAL, as the big-endian numbers in its header
/// (sqlite.org/walformat.html §2.1). They name one life of the WAL, from reset to reset.
package struct WALSalts: Hashable, Sendable, CustomStringConvertible {
    /// Salt-1 and salt-2.
    package var salt1: UInt32
    package var salt2: UInt32

    /// A pair of salts.
    package init(salt1: UInt32, salt2: UInt32) {
        self.salt1 = salt1
        self.salt2 = salt2
    }

    package var description: String {
        Hex.string(UInt64(salt1), digits: 8) + Hex.string(UInt64(salt2), digits: 8)
    }
}

/// The running checksum of a WAL after some frame (sqlite.org/walformat.html §4.1).
package struct WALChecksum: Hashable, Sendable {
    /// The two words.
    package var first: UInt32
    package var second: UInt32

    /// A pair of words.
    package init(first: UInt32, second: UInt32) {
        self.first = first
        self.second = second
    }

    /// Where every sum begins.
    package static let zero = WALChecksum(first: 0, second: 0)
}

/// A place in a WAL that can be recognised again: salts, frame number, and the running checksum
/// of that frame. A frame number alone means nothing.
package struct WALPosition: Hashable, Sendable, CustomStringConvertible {
    /// The life of the WAL.
    package var salts: WALSalts
    /// The last frame before the place; zero at the start of the WAL.
    package var frame: FrameIndex
    /// The checksum stored in that frame; of the WAL header when `frame` is zero.
    package var checksum: WALChecksum

    /// A place.
    package init(salts: WALSalts, frame: FrameIndex, checksum: WALChecksum) {
        self.salts = salts
        self.frame = frame
        self.checksum = checksum
    }

    package var description: String { "\(salts)/\(frame)" }
}
