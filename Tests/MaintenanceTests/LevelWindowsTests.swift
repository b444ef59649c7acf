import Bytes
import Maintenance
import SegmentFormat
import Testing

/// Which levels an agent builds, and when.
@Suite struct LevelWindowsTests {
    /// Windows of one, five and twenty seconds.
    private let policy = LevelPolicy(periods: [1000, 5000, 20_000], leastBytes: 1000)
    private let midnight: Int64 = 1_800_000_000_000
    private var txid: TXID = TXID(7)

    private func at(_ milliseconds: Int64) -> Timestamp {
        Timestamp(milliseconds: midnight + milliseconds)
    }

    private func digest(of txid: TXID) -> DatabaseDigest {
        DatabaseDigest(low: txid.rawValue, high: 1)
    }

    /// A segment of one commit, which changes `pages`.
    private mutating func segment(
        _ pages: [UInt32],
        at milliseconds: Int64,
        isProven: Bool = true
    ) -> ChangedPages {
        var changes = ChangedPages(
            start: ChangedPages.State(txid: txid, digest: digest(of: txid), pageCount: 100)
        )
        txid = txid.next
        for page in pages {
            changes.add(
                PageEntry(
                    change: isProven ? .xor : .whole,
                    page: PageNumber(page),
                    preHash: isProven ? UInt64(page) : nil,
                    resultHash: 1
                )
            )
        }
        changes.end(
            CommitRecord(
                txid: txid,
                pageCount: 100,
                digest: digest(of: txid),
                notSeenAt: at(milliseconds),
                seenAt: at(milliseconds),
                lastFrame: 1,
                isBridge: false
            )
        )
        return changes
    }

    private func levels(_ candidates: [LevelWindows.Candidate]) -> [UInt8] {
        candidates.map(\.level)
    }

    @Test mutating func `a window ends with its time, and takes in the ones below`() {
        var windows = LevelWindows(policy: policy)
        #expect(windows.nextEnd == nil && windows.close(at: at(900)).isEmpty)
        windows.add(segment([1, 2], at: 100), byteCount: 600)
        windows.add(segment([2, 3], at: 900), byteCount: 600)
        #expect(windows.nextEnd == at(1000) && windows.close(at: at(999)).isEmpty)

        let first = windows.close(at: at(1000))
        #expect(levels(first) == [1])
        #expect(first[0].changes.count == 3 && first[0].skippedBytes == 1200)
        #expect(first[0].changes.start.txid == TXID(7) && first[0].changes.end.txid == TXID(9))
        #expect(windows.nextEnd == at(5000))

        windows.add(segment([4], at: 4900), byteCount: 500)
        let second = windows.close(at: at(5000))
        // The short window is not worth a level of its own.
        #expect(levels(second) == [2])
        #expect(second[0].changes.count == 4 && second[0].skippedBytes == 1700)
        #expect(windows.nextEnd == at(20_000) && windows.last == TXID(10))
        #expect(levels(windows.close(at: at(20_000))) == [3])
        #expect(windows.nextEnd == nil && windows.last == nil)
    }

    @Test mutating func `a stored level makes the ones above it spare less`() {
        var windows = LevelWindows(policy: policy)
        windows.add(segment([1], at: 0), byteCount: 5000)
        let first = windows.close(at: at(1500))
        windows.stored(first[0], byteCount: 300)
        windows.add(segment([1], at: 2000), byteCount: 2000)
        let second = windows.close(at: at(5000))
        #expect(levels(second) == [2, 1])
        #expect(second[0].skippedBytes == 2300 && second[0].byteLimit == 1150)
    }

    @Test mutating func `everything that has ended is closed at once, late or not`() {
        var windows = LevelWindows(policy: policy, delay: 300)
        windows.add(segment([1], at: 4900), byteCount: 2000)
        #expect(windows.nextEnd == at(5300) && windows.close(at: at(5299)).isEmpty)
        windows.add(segment([2], at: 5200), byteCount: 2000)
        let both = windows.close(at: at(5300))
        #expect(levels(both) == [2, 1])
        #expect(both.allSatisfy { $0.changes.count == 2 })
    }

    @Test mutating func `what cannot be proven, or does not go on, begins anew`() {
        var windows = LevelWindows(policy: policy)
        windows.add(segment([1], at: 0), byteCount: 2000)
        windows.add(segment([1], at: 10, isProven: false), byteCount: 2000)
        #expect(windows.last == nil)
        windows.add(segment([5], at: 20), byteCount: 2000)
        _ = segment([6], at: 30)
        windows.add(segment([7], at: 40), byteCount: 2000)
        let candidates = windows.close(at: at(1000))
        #expect(levels(candidates) == [1])
        #expect(candidates[0].changes.count == 1 && candidates[0].changes.end.txid == txid)
    }

    @Test mutating func `too many pages for the bytes are not worth a try`() {
        var windows = LevelWindows(policy: policy)
        windows.add(segment(Array(1...100), at: 0), byteCount: 3000)
        #expect(windows.close(at: at(1000)).isEmpty)
        #expect(windows.nextEnd == at(5000))
    }
}
