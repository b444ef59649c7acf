package import Bytes

/// The sizes and numbers that bound a segment.
///
/// A decoder refuses what exceeds them, before it
/// allocates anything.
package enum SegmentLimits {
    /// The most content bytes of a content block before compression.
    package static let contentBlockBytes = 1 << 20
    /// The most record bytes of a meta block before compression.
    package static let metaBlockBytes = 64 << 10
    /// The highest TXID, 2^63 − 1, so that counting on never overflows.
    package static let maxTXID = TXID(UInt64(Int64.max))
    /// The latest time, 2^48 − 1 ms: what twelve hexadecimal digits hold (the year 10889).
    package static let maxTime = Timestamp(milliseconds: 1 << 48 - 1)
    /// The most pages of a database (sqlite.org/limits.html, `SQLITE_MAX_PAGE_COUNT`).
    package static let maxPageCount: UInt32 = 0xffff_fffe

    /// Where a log encoder begins a new content block: small enough for the agent's memory.
    static let logBlockTarget = 256 << 10
    /// Where a snapshot encoder begins a new content block.
    static let snapshotBlockTarget = 512 << 10
    /// A workspace keeps a buffer of at most this size when it is trimmed.
    static let keptBufferBytes = 16 << 10

    /// The most stored bytes of a block with `raw` content bytes: zstd's own bound is tighter.
    package static func storedBytes(raw: Int) -> Int { raw + raw / 128 + 512 }
}

extension Timestamp {
    /// The nearest time that a segment can hold.
    var storable: Timestamp {
        max(Timestamp(milliseconds: 0), min(self, SegmentLimits.maxTime))
    }
}

extension PageSize {
    /// How many pages of a database of `pageCount` pages are stored: all but the lock page.
    package func storedPageCount(of pageCount: UInt32) -> UInt64 {
        UInt64(pageCount) - (pageCount >= lockPage.rawValue ? 1 : 0)
    }

    /// The page that is `ordinal` (from 0) in the ascending order of stored pages.
    package func storedPage(at ordinal: UInt64) -> UInt64 {
        ordinal + 1 < UInt64(lockPage.rawValue) ? ordinal + 1 : ordinal + 2
    }

    /// The place (from 0) of `page` in the ascending order of stored pages.
    package func ordinal(of page: PageNumber) -> UInt64 {
        UInt64(page.rawValue) - (page > lockPage ? 2 : 1)
    }
}
