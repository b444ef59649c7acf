import Bytes
import PageHashing
import SegmentFormat

/// Applies commits, page by page, and proves each step: the page before a delta and the page after
/// it must have the recorded hashes, and the state after each commit the recorded digest
/// (DESIGN §6, FORMAT.md §10).
struct LogApplier {
    /// The sum of the hashes of all pages.
    private(set) var digest: DatabaseDigest
    /// Pages in the state.
    private(set) var pageCount: UInt32
    /// The last commit applied.
    private(set) var txid: TXID
    /// When it was seen.
    private(set) var time: Timestamp?

    private let cache: PageCache
    private let slices: SliceMap
    private let wanted: PageSet?

    /// An applier to the pages of a snapshot and of levels upon it, the last of which is `level`;
    /// their hashes add up to `digest`. With `wanted` only those pages are there, and no state can
    /// be proven.
    init(
        _ base: SegmentLayout,
        level: SegmentLayout? = nil,
        digest: DatabaseDigest,
        cache: PageCache,
        wanted: PageSet? = nil
    ) {
        self.digest = digest
        self.cache = cache
        self.wanted = wanted
        slices = SliceMap(level ?? base)
        txid = level?.footer.maxTXID ?? base.header.minTXID
        pageCount = (level ?? base).footer.pageCountAfter
        time = (level ?? base).footer.lastTime
    }

    /// Whether the pages make up a state: not before a sliced snapshot's last slice.
    var isState: Bool { txid >= slices.last }

    /// Checks that a segment goes on from the state.
    func check(_ header: SegmentHeader) -> String? {
        guard isState, wanted == nil, header.minTXID == txid.next else { return nil }
        guard header.digestBefore == nil || header.digestBefore == digest else {
            return "it goes on from a state with another digest"
        }
        return nil
    }

    /// Applies one page of commit `commit`; says what is wrong.
    mutating func apply(
        _ entry: PageEntry,
        of commit: TXID,
        content: UnsafeRawBufferPointer?
    ) throws -> String? {
        guard commit > slices.txid(of: entry.page),
            wanted?.contains(entry.page.rawValue) != false
        else { return nil }
        var problem: String?
        let change = try cache.change(entry.page, isNew: entry.isNew) { page, hash in
            let old = hash
            problem = Self.change(page, &hash, entry, content)
            return hash &- old
        }
        digest = digest &+ change
        return problem
    }

    /// Changes a page and its hash as the record says, or says what is wrong.
    private static func change(
        _ page: UnsafeMutableRawBufferPointer,
        _ hash: inout PageHash,
        _ entry: PageEntry,
        _ content: UnsafeRawBufferPointer?
    ) -> String? {
        if let before = entry.preHash, before != hash.low {
            return "page \(entry.page) before the commit is not as recorded"
        }
        if entry.change.isRemoval {
            if let content, PageHasher.hash(content, number: entry.page) != hash {
                return "page \(entry.page) was kept as it never was"
            }
            hash = .zero
            return nil
        }
        guard let content else { return "page \(entry.page) has no content" }
        if entry.change == .xor {
            PageXOR.apply(content, to: page)
        } else {
            page.copyMemory(from: content)
        }
        hash = PageHasher.hash(UnsafeRawBufferPointer(page), number: entry.page)
        return hash.low == entry.resultHash
            ? nil : "page \(entry.page) after the commit is not as recorded"
    }

    /// Applies one whole or removed page of a level; says what is wrong. `isExact`: the level
    /// begins at this state, so that the hash before must be the page's.
    mutating func apply(
        level entry: PageEntry,
        isExact: Bool,
        content: UnsafeRawBufferPointer?
    ) throws -> String? {
        guard wanted?.contains(entry.page.rawValue) != false else { return nil }
        var record = entry
        // A page that is new since the window's begin may be there already.
        record.isNew = entry.page.rawValue > pageCount
        if !isExact || record.isNew { record.preHash = nil }
        if entry.change.isRemoval, record.isNew { return nil }
        var problem: String?
        let change = try cache.change(record.page, isNew: record.isNew) { page, hash in
            let old = hash
            problem = Self.change(page, &hash, record, content)
            return hash &- old
        }
        digest = digest &+ change
        return problem
    }

    /// Ends a level; says what is wrong.
    mutating func end(level footer: SegmentFooter) -> String? {
        txid = footer.maxTXID
        time = footer.lastTime
        pageCount = footer.pageCountAfter
        guard wanted == nil, footer.digestAfter != digest else { return nil }
        return "the state at its end has another digest than recorded"
    }

    /// Ends a commit; says what is wrong.
    mutating func end(_ commit: CommitRecord) -> String? {
        txid = commit.txid
        time = commit.seenAt
        guard isState else { return nil }
        pageCount = commit.pageCount
        guard let recorded = commit.digest, recorded != digest, wanted == nil else { return nil }
        return "the state after commit \(commit.txid) has another digest than recorded"
    }
}

/// The TXIDs as of which a snapshot's pages were read (FORMAT.md §6).
struct SliceMap: Sendable {
    private var firsts: [UInt32] = []
    private var txids: [TXID] = []
    private let pageCount: UInt32
    /// The last slice: where the pages begin to make up a state.
    let last: TXID

    init(_ layout: SegmentLayout) {
        last = layout.footer.maxTXID
        pageCount = layout.footer.pageCountAfter
        for block in layout.blocks where block.kind == .content && block.txid != txids.last {
            firsts.append(UInt32(block.first))
            txids.append(block.txid)
        }
    }

    /// Whether the pages belong to different states.
    var isSliced: Bool { txids.count > 1 }

    /// The commit up to which the page holds all changes.
    func txid(of page: PageNumber) -> TXID {
        guard isSliced, page.rawValue <= pageCount else { return last }
        var (low, high) = (0, firsts.count)
        while low < high {
            let middle = (low + high) / 2
            if firsts[middle] <= page.rawValue { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? txids[low - 1] : last
    }
}
