import Bytes

/// The rules that the records of a level keep, the same for who writes and who reads them.
///
/// Each method says in words which rule is broken, or nil.
struct LevelSequence {
    private let pageSize: PageSize
    private let before: UInt32
    private let after: UInt32
    private var lastPage: UInt32 = 0
    private var counts = (new: UInt64(0), removed: UInt64(0))
    /// Low hashes after less low hashes before, over all records: the proof's right side.
    private(set) var lowDifference: UInt64 = 0

    init(pageSize: PageSize, before: UInt32, after: UInt32) {
        self.pageSize = pageSize
        self.before = before
        self.after = after
    }

    /// Takes the next record.
    mutating func add(_ entry: PageEntry) -> String? {
        let page = entry.page.rawValue
        guard page > lastPage else { return "page \(page) comes after page \(lastPage)" }
        guard page <= max(before, after), entry.page != pageSize.lockPage else {
            return "page \(page) cannot be stored"
        }
        lastPage = page
        let isNew = page > before
        guard entry.isNew == isNew, isNew == (entry.preHash == nil) else {
            return "the hash of page \(page) before the window is missing, or cannot be"
        }
        switch entry.change {
        case .whole where page <= after: if isNew { counts.new += 1 }
        case .removed(hasContent: false) where page > after && entry.resultHash == 0:
            counts.removed += 1
        default: return "page \(page) is neither stored whole nor removed"
        }
        lowDifference = lowDifference &+ entry.resultHash &- (entry.preHash ?? 0)
        return nil
    }

    /// Checks, after the last record, that growth and shrinking are all there, and the proof:
    /// the digests differ by exactly what the pages' hashes do.
    func end(digestBefore: DatabaseDigest, digestAfter: DatabaseDigest) -> String? {
        let (old, new) = (pageSize.storedPageCount(of: before), pageSize.storedPageCount(of: after))
        guard counts.new == (new > old ? new - old : 0) else {
            return "the window grows the database, but not every new page is stored"
        }
        guard counts.removed == (old > new ? old - new : 0) else {
            return "the window shrinks the database, but not every removed page is listed"
        }
        guard digestAfter.low &- digestBefore.low == lowDifference else {
            return "the pages' hashes do not add up to the difference of the digests"
        }
        return nil
    }
}
