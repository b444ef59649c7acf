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
    /// Whether the last commit recorded a digest, which the state has.
    private(set) var isProven: Bool

    private let cache: PageCache
    private let slices: SliceMap

    /// An applier to the pages of a snapshot, whose hashes add up to `digest`.
    init(_ base: SegmentLayout, digest: DatabaseDigest, cache: PageCache) {
        self.digest = digest
        self.cache = cache
        slices = SliceMap(base)
        txid = base.header.minTXID
        pageCount = base.footer.pageCountAfter
        isProven = !slices.isSliced && base.footer.digestAfter == digest
        time = base.footer.lastTime
    }

    /// Whether the pages make up a state: not before a sliced snapshot's last slice.
    var isState: Bool { txid >= slices.last }

    /// Checks that a segment goes on from the state.
    func check(_ header: SegmentHeader) -> String? {
        guard isState, header.minTXID == txid.next else { return nil }
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
        guard commit > slices.txid(of: entry.page) else { return nil }
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

    /// Ends a commit; says what is wrong.
    mutating func end(_ commit: CommitRecord) -> String? {
        txid = commit.txid
        time = commit.seenAt
        guard isState else { return nil }
        pageCount = commit.pageCount
        isProven = commit.digest != nil
        guard let recorded = commit.digest, recorded != digest else { return nil }
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
