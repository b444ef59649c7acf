import Bytes
import Platform
import SQLiteAccess
import WALFormat

/// What is known of how long things take while room is made, and how far it has come.
struct RoomMaking {
    /// Nanoseconds that a frame takes to be copied and made safe in the spool.
    private(set) var copyCost: Int64 = 10_000
    /// Nanoseconds that a frame takes to be checkpointed.
    private(set) var backfillCost: Int64 = 8_000
    /// Whether the writer has to be held up for what is copied, because it is as fast as we are.
    var isBraking = false

    private var isMeasuredAlone = false

    /// `frames` were copied and made safe; `isAlone` when no writer took its share of the machine
    /// meanwhile, which is what counts for the time that the lock is held.
    mutating func copied(_ frames: FrameIndex, in time: Int64, isAlone: Bool) {
        guard isAlone || !isMeasuredAlone, Self.take(time, frames, into: &copyCost) else { return }
        isMeasuredAlone = isMeasuredAlone || isAlone
    }

    /// `frames` were checkpointed.
    mutating func backfilled(_ frames: FrameIndex, in time: Int64) {
        _ = Self.take(time, frames, into: &backfillCost)
    }

    /// False when there were too few: what is the same for few and for many would count as theirs.
    private static func take(
        _ time: Int64,
        _ frames: FrameIndex,
        into cost: inout Int64
    ) -> Bool {
        guard frames >= 256 else { return false }
        cost = (cost * 3 + time / Int64(frames)) / 4
        return true
    }
}

/// Making room in the WAL of a writer that never pauses (DESIGN §4.3).
extension Follower {
    /// Frames in the WAL from which on it is reset under the write lock.
    ///
    /// A reset costs a writer without a busy timeout one SQLITE_BUSY, so a slow writer's WAL may
    /// grow to three times `walResetFrames` first; a fast one's grows while room is being made.
    var resetThreshold: FrameIndex {
        let frameSize = Int64(FrameHeader.size + pageSize.bytes)
        let most = min(
            Int64(configuration.walResetFrames) * 3,
            configuration.walResetBytes / frameSize
        )
        let least = min(Int64(configuration.walResetFrames), most)
        let age = max(lastCommit - epochBegan, Nanoseconds.millisecond)
        let growth = Int64(position.frame) * Self.roomTime / age
        return FrameIndex(clamping: max(least, most - growth))
    }

    /// How long a reset of a fast writer's WAL takes to come about, roughly.
    private static let roomTime = 200 * Nanoseconds.millisecond

    /// Whether the WAL has grown too large. Room that was made already waits for the next writer,
    /// which starts the WAL over.
    var wantsRoom: Bool {
        snapshot == nil && mayCheckpoint && position.frame >= resetThreshold
            && leapedAt != pins.rules.copied
    }

    /// Lets the WAL be reset when it has grown. A few rounds at a time, so that other databases
    /// have their turn in between.
    func makeRoom() throws {
        guard snapshot == nil, mayCheckpoint else { return }
        let now = MonotonicTime.now
        if wantsRoom, resetBackOff.isReady(now) {
            switch try makeRoomNow() {
            case .made, .goOn: resetBackOff.succeeded()
            case .inTheWay: resetBackOff.failed(now)
            }
        } else if let quietTime, now >= quietTime {
            if try resetWhileQuiet() { quietBackOff.succeeded() } else { quietBackOff.failed(now) }
        }
    }

    private enum RoomOutcome {
        /// The next writer starts the WAL over.
        case made
        /// Another round, at once.
        case goOn
        /// A reader, a checkpoint or a long transaction of the application's is in the way: later.
        case inTheWay
    }

    /// §4.3: makes room under a short BEGIN IMMEDIATE; the next writer resets the WAL. Nothing is
    /// waited for inside the lock.
    ///
    /// Before, the bulk is copied, made safe and checkpointed. Behind a writer that is as fast as
    /// we are that alone would never end: what comes meanwhile is as much as before. So it is held
    /// up while we copy, and only checkpointing, which is several times faster, goes on beside it.
    private func makeRoomNow() throws -> RoomOutcome {
        for _ in 0..<Self.roundsMax {
            guard let header = index.header() else { return .inTheWay }
            // A WAL that grows all the same is worth a longer stop.
            let holdMax = Self.holdMax * Int64(header.mxFrame) / Int64(max(1, resetThreshold))
            if !room.isBraking || costOfCopying(header) > holdMax { try followPin(isAlone: false) }
            if room.isBraking, let header = index.header(), costOfCopying(header) <= holdMax {
                guard try underWriteLock({ try followPin(isAlone: true) }) else { return .inTheWay }
            }
            let before = lastBackfill
            let began = MonotonicTime.now
            guard try passive(), let header = index.header(), header.salts == position.salts,
                lastBackfill > before || lastBackfill == header.mxFrame
            else { return .inTheWay }
            room.backfilled(lastBackfill - before, in: MonotonicTime.now - began)
            let left = header.mxFrame - min(lastBackfill, header.mxFrame)
            if costOfCopying(header) + Int64(left) * room.backfillCost <= holdMax {
                var isMade = false
                _ = try underWriteLock { isMade = try makeRoomUnderLock() }
                return isMade ? .made : .inTheWay
            }
            room.isBraking = true
        }
        return .goOn
    }

    /// Nanoseconds that it takes to copy what is committed, and to make it safe.
    private func costOfCopying(_ header: WALIndexHeader) -> Int64 {
        Int64(header.mxFrame - min(position.frame, header.mxFrame)) * room.copyCost
    }

    /// Rounds before other databases have their turn.
    private static let roundsMax = 4
    /// How long the write lock is to be held, as expected before it is taken, in nanoseconds.
    private static let holdMax = 16 * Nanoseconds.millisecond
    /// How long the lock is tried for before what came meanwhile is copied.
    private static let lockTime = 5 * Nanoseconds.millisecond

    /// Runs `body` under the write lock; false when it was not to be had within `lockTime`. Nothing
    /// is written.
    func underWriteLock(_ body: () throws -> Void) throws -> Bool {
        let locker =
            try self.locker ?? Connection(path: configuration.databasePath, role: .writeLocker)
        self.locker = locker
        guard try locker.beginImmediate(within: Self.lockTime) else { return false }
        let began = MonotonicTime.now
        defer { statistics.heldWriteLock(MonotonicTime.now - began) }
        do {
            try body()
        } catch {
            try? locker.rollback()
            throw error
        }
        try locker.rollback()
        return true
    }

    private func makeRoomUnderLock() throws -> Bool {
        let began = MonotonicTime.now
        try catchUpSafely()
        let isRoomMade =
            try advancePin() && passive() && lastBackfill == position.frame && advancePin()
        if isRoomMade { leapedAt = pins.rules.copied }
        statistics.forcedResets += isRoomMade ? 1 : 0
        log(
            .debug,
            "made room in the WAL",
            [
                ("write_lock_held_ms", "\(Double((MonotonicTime.now - began) / 1000) / 1000)"),
                ("frames", "\(position.frame)"),
                ("success", "\(isRoomMade)"),
            ]
        )
        return isRoomMade
    }
}
