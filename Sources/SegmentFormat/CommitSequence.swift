import Bytes

/// The rules that page and commit records keep, the same for who writes and who reads them.
///
/// Each method says in words which rule is broken, or nil. Constant memory: that no page is listed
/// twice in a commit is left to `LogRecordChecker`.
struct CommitSequence {
    /// The commit that the records to come belong to.
    private(set) var txid: TXID
    /// The page count before that commit.
    private(set) var pageCount: UInt32
    /// Page records of that commit so far.
    private(set) var entryCount: UInt32 = 0

    private let pageSize: PageSize
    private var newCount: UInt64 = 0
    private var removedCount: UInt64 = 0
    private var highestKept: UInt32 = 0
    private var lowestRemoved = UInt32.max

    init(header: SegmentHeader) {
        txid = header.minTXID
        pageCount = header.pageCountBefore
        pageSize = header.pageSize
    }

    /// Takes the next page record of the commit.
    mutating func add(_ entry: PageEntry) -> String? {
        let page = entry.page.rawValue
        guard page > 0, page <= SegmentLimits.maxPageCount, entry.page != pageSize.lockPage else {
            return "page \(page) cannot be stored"
        }
        guard entryCount < .max else { return "commit \(txid) has too many pages" }
        entryCount += 1
        if entry.change.isRemoval {
            guard page <= pageCount, !entry.isNew, entry.resultHash == 0 else {
                return "commit \(txid) removes page \(page), which was not there"
            }
            removedCount += 1
            lowestRemoved = min(lowestRemoved, page)
            return nil
        }
        guard entry.isNew == (page > pageCount), !entry.isNew || entry.preHash == nil else {
            return "commit \(txid) misjudges whether page \(page) is new"
        }
        if entry.isNew { newCount += 1 }
        highestKept = max(highestKept, page)
        return nil
    }

    /// Takes the commit record, and goes on to the next commit.
    mutating func end(_ commit: CommitRecord) -> String? {
        guard commit.txid == txid, txid <= SegmentLimits.maxTXID else {
            return "commit \(commit.txid) stands where \(txid) belongs"
        }
        guard commit.entryCount == entryCount else {
            return "commit \(txid) has \(entryCount) page records, not \(commit.entryCount)"
        }
        guard commit.pageCount <= SegmentLimits.maxPageCount, highestKept <= commit.pageCount else {
            return "commit \(txid) stores page \(highestKept) beyond its page count"
        }
        let before = pageSize.storedPageCount(of: pageCount)
        let after = pageSize.storedPageCount(of: commit.pageCount)
        guard newCount == (after > before ? after - before : 0) else {
            return "commit \(txid) grows the database, but not every new page is stored"
        }
        guard removedCount == (before > after ? before - after : 0),
            lowestRemoved > commit.pageCount
        else { return "commit \(txid) shrinks the database, but removes other pages than those" }
        txid = TXID(txid.rawValue + 1)
        pageCount = commit.pageCount
        entryCount = 0
        newCount = 0
        removedCount = 0
        highestKept = 0
        lowestRemoved = .max
        return nil
    }
}
