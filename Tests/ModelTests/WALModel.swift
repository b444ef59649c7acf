/// SQLite's WAL mode as small values: what is in the WAL-index, in the `-wal` file and in the
/// database file, and the locks (wal.c of 3.40.1, the WAL-reset bug included).
///
/// Two pages. A commit writes page 1, page 2 or both, or removes page 2. A page's content is the
/// number of the commit that wrote it; 0 is a page of zeros or no page at all.
struct WALModel: Hashable, Sendable {
    /// What a commit does to the two pages.
    enum Kind: UInt8, CaseIterable, Sendable {
        case first, second, both, shrink

        /// The pages that it writes frames for, in order.
        var pages: [UInt8] {
            switch self {
            case .first, .shrink: [1]
            case .second: [2]
            case .both: [1, 2]
            }
        }
    }

    /// No lock, no mark.
    static let none: UInt8 = 15

    // The history of published commits: two bits a commit.
    var history: UInt32 = 0
    var commits: UInt8 = 0

    // The WAL-index header. Torn: a writer died between its two copies.
    var mxFrame: UInt8 = 0
    var salt: UInt8 = 1
    var isTorn = false
    /// Reset with the first writer still to come, who may draw salts of its own.
    var mayDrawSalts = true

    // The rest of the WAL-index.
    var nBackfill: UInt8 = 0
    var nBackfillAttempted: UInt8 = 0
    var marks = PackedBytes()
    /// Page of each frame, as the hash tables say.
    var indexPage = PackedBytes()

    // The `-wal` file. A frame's salt 0: the chain of checksums does not reach it.
    var fileSalt: UInt8 = 0
    var framePage = PackedBytes()
    var frameContent = PackedBytes()
    var frameSalt = PackedBytes()
    /// Pages after the commit, in commit frames.
    var frameSize = PackedBytes()

    /// The database file's pages.
    var file = PackedBytes()

    /// Who holds WRITE: 0 nobody, 1 the writer, 2 and up a checkpointer, 9 the agent.
    var writeHolder: UInt8 = 0
    /// The checkpointer that holds CKPT, plus 1.
    var checkpointHolder: UInt8 = 0
    /// A checkpointer holds lock 0 exclusively.
    var isLock0Exclusive = false
    /// Somebody who resets the WAL holds READ1… exclusively.
    var isResetting = false
    /// Shared holders of lock 0 and of each mark.
    var holders = PackedBytes()

    init(slots: Int) {
        marks[1] = 0
        for slot in 2..<(slots + 1) { marks[slot] = Self.none }
    }

    // MARK: - History

    func kind(_ commit: UInt8) -> Kind { Kind(rawValue: UInt8(history >> (2 * (commit - 1)) & 3))! }

    /// Pages after a commit.
    func pageCount(_ commit: UInt8) -> UInt8 {
        var number = commit
        while number > 0 {
            switch kind(number) {
            case .second, .both: return 2
            case .shrink: return 1
            case .first: number -= 1
            }
        }
        return 1
    }

    /// What a page holds after a commit.
    func content(_ page: UInt8, at commit: UInt8) -> UInt8 {
        var number = commit
        while number > 0 {
            switch (kind(number), page) {
            case (.first, 1), (.shrink, 1), (.both, _), (.second, 2): return number
            case (.shrink, 2): return 0
            default: number -= 1
            }
        }
        return 0
    }

    mutating func publish(_ kind: Kind) {
        commits += 1
        history =
            history & ~(3 << (2 * UInt32(commits - 1)))
            | UInt32(kind.rawValue) << (2 * UInt32(commits - 1))
    }

    // MARK: - Reading

    /// The newest frame of a page at or below `limit`; 0 when there is none.
    func newestFrame(_ page: UInt8, atOrBelow limit: UInt8, above low: UInt8 = 0) -> UInt8 {
        var frame = limit
        while frame > low {
            if indexPage[frame] == page { return frame }
            frame -= 1
        }
        return 0
    }

    /// True when somebody who connects now does not see what was committed: the database is
    /// corrupt.
    var isCorrupt: Bool {
        if isTorn || isResetting { return false }
        if nBackfill > mxFrame { return true }
        for page in 1...pageCount(commits) {
            let frame = newestFrame(page, atOrBelow: mxFrame, above: nBackfill)
            let seen = frame > 0 ? frameContent[frame] : file[page]
            if seen != content(page, at: commits) { return true }
        }
        return false
    }

    // MARK: - Locks

    /// wal.c walTryBeginRead: the slot of the lock that a reader gets, nil when it has to try
    /// again. `useWAL` is set by a writer that leaves lock 0.
    mutating func beginRead(slots: Int, useWAL: Bool = false) -> UInt8? {
        if isTorn { return nil }
        if !useWAL, nBackfill == mxFrame, !isLock0Exclusive {
            holders[0] += 1
            return 0
        }
        if isResetting { return nil }
        var best: UInt8 = 0
        var slot: UInt8 = 0
        for index in 1...UInt8(slots) where marks[index] != Self.none {
            if marks[index] >= best, marks[index] <= mxFrame {
                best = marks[index]
                slot = index
            }
        }
        if best < mxFrame || slot == 0 {
            for index in 1...UInt8(slots) where holders[index] == 0 {
                marks[index] = mxFrame
                slot = index
                break
            }
        }
        if slot == 0 { return nil }
        holders[slot] += 1
        return slot
    }

    mutating func endRead(_ slot: UInt8) {
        if slot != Self.none { holders[slot] -= 1 }
    }

    func areMarksFree(slots: Int) -> Bool {
        (1...slots).allSatisfy { holders[$0] == 0 }
    }

    /// wal.c walRestartHdr, first half: the new header is published.
    mutating func publishReset() {
        mxFrame = 0
        salt += 1
    }

    /// Its second half.
    mutating func clearCheckpointInfo(slots: Int) {
        nBackfill = 0
        nBackfillAttempted = 0
        marks[1] = 0
        for slot in 2..<(slots + 1) { marks[slot] = Self.none }
    }

    /// The `-wal` file is empty.
    mutating func truncate() {
        fileSalt = 0
        framePage = PackedBytes()
        frameContent = PackedBytes()
        frameSalt = PackedBytes()
        frameSize = PackedBytes()
        indexPage = PackedBytes()
    }

    // MARK: - Writing

    /// Writes one frame after `last` frames of the WAL; whatever follows loses its chain.
    mutating func write(
        frame: UInt8,
        page: UInt8,
        salt: UInt8,
        size: UInt8,
        frames: Int
    ) {
        if frame == 1 {
            fileSalt = salt
            // wal.c walIndexAppend clears the hash table before its first entry.
            indexPage = PackedBytes()
        }
        framePage[frame] = page
        frameContent[frame] = commits + 1
        frameSalt[frame] = salt
        frameSize[frame] = size
        indexPage[frame] = page
        guard frame < UInt8(frames) else { return }
        for later in (frame + 1)...UInt8(frames) {
            frameSalt[later] = 0
            indexPage[later] = 0
        }
    }

    /// wal.c walIndexRecover: what the `-wal` file says becomes the header. A whole commit that
    /// was never published is published now.
    mutating func recover(slots: Int, frames: Int) {
        var last: UInt8 = 0
        var frame: UInt8 = 1
        while frame <= UInt8(frames), fileSalt > 0, frameSalt[frame] == fileSalt {
            indexPage[frame] = framePage[frame]
            if frameSize[frame] > 0 { last = frame }
            frame += 1
        }
        if last > mxFrame, salt == fileSalt || mxFrame == 0 {
            let pages = ((mxFrame + 1)...last).map { framePage[$0] }
            if pages.count == 2 {
                publish(.both)
            } else if pages[0] == 2 {
                publish(.second)
            } else {
                publish(frameSize[last] < pageCount(commits) ? .shrink : .first)
            }
        }
        mxFrame = last
        salt = fileSalt
        isTorn = false
        nBackfill = 0
        nBackfillAttempted = last
        for slot in 1...UInt8(slots) where holders[slot] == 0 {
            marks[slot] = slot == 1 && last > 0 ? last : Self.none
        }
        for later in UInt8(1)...UInt8(frames) where later > last { indexPage[later] = 0 }
    }
}
