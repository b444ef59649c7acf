/// A 128-bit number that wraps, in two halves: what page hashes, digests and checksums are made of.
package struct Hash128: Hashable, Sendable, CustomStringConvertible {
    /// Bits 0 to 63.
    package var low: UInt64
    /// Bits 64 to 127.
    package var high: UInt64

    /// A number from its halves.
    package init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    /// Zero.
    package static let zero = Hash128(low: 0, high: 0)

    /// The sum mod 2^128.
    package static func &+ (a: Hash128, b: Hash128) -> Hash128 {
        let (low, carry) = a.low.addingReportingOverflow(b.low)
        return Hash128(low: low, high: a.high &+ b.high &+ (carry ? 1 : 0))
    }

    /// The difference mod 2^128.
    package static func &- (a: Hash128, b: Hash128) -> Hash128 {
        let (low, borrow) = a.low.subtractingReportingOverflow(b.low)
        return Hash128(low: low, high: a.high &- b.high &- (borrow ? 1 : 0))
    }

    /// 32 hexadecimal digits, the high half first (as `xxh128sum` prints).
    package var description: String { Hex.string(high, digits: 16) + Hex.string(low, digits: 16) }

    /// 32 hexadecimal digits, or nil for anything else.
    package init?(hex text: String) {
        guard text.utf8.count == 32, let high = Hex.parse(text.prefix(16), digits: 16),
            let low = Hex.parse(text.suffix(16), digits: 16)
        else { return nil }
        self.init(low: low, high: high)
    }
}

/// XXH3-128 of a page's content, seeded with the page number.
package typealias PageHash = Hash128

/// The sum mod 2^128 of the page hashes of pages 1…N, the lock page left out. Two states of a
/// database are equal when digest, page size and page count are.
package typealias DatabaseDigest = Hash128

/// XXH3-128 of a whole segment: what the next segment's link holds.
package typealias SegmentChecksum = Hash128
