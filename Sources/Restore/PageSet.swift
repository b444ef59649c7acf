import Bytes

/// A set of pages, one bit for each page of a database.
struct PageSet: Sendable {
    private var words: [UInt64]
    private(set) var count = 0

    /// No pages; none above `pageCount` is ever taken in.
    init(pageCount: UInt32) { words = Array(repeating: 0, count: (Int(pageCount) + 64) / 64) }

    /// Whether the set has the page.
    func contains(_ page: UInt32) -> Bool {
        let index = Int(page / 64)
        return index < words.count && words[index] & (1 << UInt64(page % 64)) != 0
    }

    /// Takes the page in, unless it is beyond the last page.
    mutating func insert(_ page: UInt32) {
        let (index, bit) = (Int(page / 64), UInt64(1) << UInt64(page % 64))
        guard index < words.count, words[index] & bit == 0 else { return }
        words[index] |= bit
        count += 1
    }
}
