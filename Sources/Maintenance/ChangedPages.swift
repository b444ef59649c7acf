package import Bytes
package import SegmentFormat

/// The pages that changed in a window of commits, with their hashes at its start: what a level is
/// built from.
///
/// An agent adds each commit's records as it copies them, and so never has to fetch anything; after
/// a restart they come from the log's META blocks. Some 20 bytes for each page.
package struct ChangedPages: Sendable {
    /// A state: what a level has to know of both its ends.
    package struct State: Hashable, Sendable {
        /// The last commit.
        package var txid: TXID
        /// Its digest; nil when it is not known.
        package var digest: DatabaseDigest?
        /// Its page count.
        package var pageCount: UInt32

        /// A state.
        package init(txid: TXID, digest: DatabaseDigest?, pageCount: UInt32) {
            self.txid = txid
            self.digest = digest
            self.pageCount = pageCount
        }
    }

    /// What is known of a page at the window's start.
    private enum Before: Hashable {
        case hash(UInt64)
        case absent
        case unknown
    }

    /// The state before the window.
    package private(set) var start: State
    /// The state after the last commit added.
    package private(set) var end: State
    /// When the first commit was seen; nil without one.
    package private(set) var firstTime: Timestamp?
    /// When the last commit was seen; nil without one.
    package private(set) var lastTime: Timestamp?
    private var pages: [UInt32: Before] = [:]
    private var unknownCount = 0

    /// A window that begins with `start`, without any commit yet.
    package init(start: State) {
        self.start = start
        end = start
    }

    /// How many pages changed.
    package var count: Int { pages.count }

    /// Whether the window has no commit yet.
    package var isEmpty: Bool { end.txid == start.txid }

    /// Whether a level can be proven: both digests are known, and each page's hash at the start.
    package var isProvable: Bool {
        unknownCount == 0 && start.digest != nil && end.digest != nil
    }

    /// Pages whose hash at the start is not known: stored whole after a restart of the agent.
    package var pagesWithoutHash: [PageNumber] {
        pages.filter { $0.value == .unknown }.keys.sorted().map { PageNumber($0) }
    }

    /// Adds a page of the commit that the next `end(_:)` ends.
    package mutating func add(_ entry: PageEntry) {
        let page = entry.page.rawValue
        guard pages[page] == nil else { return }
        if page > start.pageCount {
            pages[page] = .absent
        } else if let hash = entry.preHash {
            pages[page] = .hash(hash)
        } else {
            pages[page] = .unknown
            unknownCount += 1
        }
    }

    /// Ends the commit whose pages were added.
    package mutating func end(_ commit: CommitRecord) {
        precondition(commit.txid == end.txid.next, "commits are added in order, without a gap")
        end = State(txid: commit.txid, digest: commit.digest, pageCount: commit.pageCount)
        if firstTime == nil { firstTime = commit.seenAt }
        lastTime = commit.seenAt
    }

    /// Says what the hash of a page was at the start, where it was not known.
    package mutating func resolve(_ page: PageNumber, hash: UInt64) {
        guard pages[page.rawValue] == .unknown else { return }
        pages[page.rawValue] = .hash(hash)
        unknownCount -= 1
    }

    /// Goes on with the window that begins where this one ends.
    package mutating func append(_ next: ChangedPages) {
        precondition(next.start.txid == end.txid, "windows are joined end to end")
        for (page, before) in next.pages where pages[page] == nil {
            pages[page] = page > start.pageCount ? .absent : before
            if pages[page] == .unknown { unknownCount += 1 }
        }
        if firstTime == nil { firstTime = next.firstTime }
        lastTime = next.lastTime ?? lastTime
        end = next.end
    }

    /// One page of a level.
    package enum Change: Hashable, Sendable {
        /// It is there at the end. `hashBefore` is nil when it was not there at the start.
        case stored(PageNumber, hashBefore: UInt64?)
        /// It was there at the start only.
        case removed(PageNumber, hashBefore: UInt64)
    }

    /// What a level holds, in ascending order; nil while a hash is unknown.
    package var changes: [Change]? {
        guard unknownCount == 0 else { return nil }
        return pages.keys.sorted().compactMap { page in
            let number = PageNumber(page)
            let isThere = page <= end.pageCount
            switch pages[page] {
            case .hash(let hash):
                return isThere
                    ? .stored(number, hashBefore: hash) : .removed(number, hashBefore: hash)
            case .absent: return isThere ? .stored(number, hashBefore: nil) : nil
            case .unknown, nil: return nil
            }
        }
    }
}

/// Where a level's pages come from: the database under a pin at the window's end, or the store.
package protocol PageSource: Sendable {
    /// The page as it is at the end of the window.
    ///
    /// A source that blocks does so on a thread of its own.
    func content(of page: PageNumber) async throws -> [UInt8]
}
