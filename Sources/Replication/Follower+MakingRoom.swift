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
    /// Nanoseconds from a WAL that is large enough to one that has room, lately.
    private(set) var time = 200 * Nanoseconds.millisecond
    /// Since when the present life of the WAL is large enough.
    private var since: MonotonicTime?

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

    /// The WAL is large enough for room to be made.
    mutating func began(_ now: MonotonicTime) { since = since ?? now }

    /// Room is made.
    mutating func succeeded(_ now: MonotonicTime) {
        guard let since else { return }
        let took: Int64 = now - since
        time = (time * 3 + took) / 4
    }

    /// Another life of the WAL begins, a little after it was made or by somebody else.
    mutating func forgetBeginning() { since = nil }

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
        let most = Int64(walFramesMax)
        let least = min(Int64(configuration.walResetFrames), most)
        let age = max(lastCommit - epochBegan, Nanoseconds.millisecond)
        let growth = Int64(position.frame) * room.time / age
        return FrameIndex(clamping: max(least, most - growth))
    }

    /// Frames that the WAL is to have at most when it is reset.
    private var walFramesMax: FrameIndex {
        let frameSize = Int64(FrameHeader.size + pageSize.bytes)
        let frames = min(
            Int64(configuration.walResetFrames) * 3,
            configuration.walResetBytes / frameSize
        )
        return FrameIndex(clamping: max(1, frames))
    }

    /// Whether the WAL has grown too large. Room that was made already waits for the next writer,
    /// which starts the WAL over.
    var wantsRoom: Bool {
        !isStateBeingRead && mayCheckpoint && position.frame >= resetThreshold
            && leapedAt != pins.rules.copied
    }

    /// Lets the WAL be reset when it has grown. A few rounds at a time, so that other databases
    /// have their turn in between.
    func makeRoom() throws {
        guard !isStateBeingRead, mayCheckpoint else { return }
        let now = MonotonicTime.now
        if wantsRoom, resetBackOff.isReady(now) {
            room.began(now)
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

    /// §4.3: makes room under a short BEGIN IMMEDIATE; the next writer resets the WAL.
    ///
    /// Before, the bulk is copied, made safe and checkpointed, in rounds beside the writer that
    /// each leave less to do. Behind a writer that is as fast as we are they would never end: what
    /// comes meanwhile is as much as before, or more. When the WAL is too large by that, the writer
    /// is held up while we copy (`brake`), and only checkpointing, which is faster, goes on beside
    /// it.
    private func makeRoomNow() throws -> RoomOutcome {
        for round in 1...Self.roundsMax {
            guard let header = index.header() else { return .inTheWay }
            if header.mxFrame > walFramesMax, costOfCopying(header) > Self.copyingWorthBraking {
                guard try brake() else { return .inTheWay }
            } else {
                try followPin()
            }
            guard try checkpointBeside(), let header = index.header(),
                header.salts == position.salts
            else { return .inTheWay }
            let left = framesLeft(header)
            // A WAL that grows all the same is worth a longer stop.
            let most = Int64(walFramesMax)
            let holdMax = Self.holdMax * max(Int64(header.mxFrame), most) / most
            let cost = costOfCopying(header) + Int64(left) * room.backfillCost
            if cost <= (round == 1 ? Self.holdGood : holdMax) {
                try look()
                var isMade = false
                _ = try underWriteLock { isMade = try makeRoomUnderLock() }
                return isMade ? .made : .inTheWay
            }
        }
        return .goOn
    }

    /// Frames that are not in the database file yet.
    private func framesLeft(_ header: WALIndexHeader) -> FrameIndex {
        header.mxFrame - min(lastBackfill, header.mxFrame)
    }

    /// A checkpoint beside the writer. One of the application's that is at work on the same frames
    /// does as well, and is waited for: with SQLite's default every commit of a writer whose WAL
    /// has grown begins one. False when it brought nothing into the database file.
    private func checkpointBeside() throws -> Bool {
        let before = lastBackfill
        let began = MonotonicTime.now
        while try !passive() {
            guard lastBackfill < position.frame else { return true }
            guard MonotonicTime.now - began < Self.checkpointTime else {
                return lastBackfill > before
            }
            try? Readiness.pause(nanoseconds: Self.checkpointPause)
        }
        room.backfilled(lastBackfill - before, in: MonotonicTime.now - began)
        // Or all that would have to reach the disk while the writer is held up.
        if lastBackfill - before >= Self.framesWorthSyncing { try index.synchronizeFile() }
        return lastBackfill > before || lastBackfill == position.frame
    }

    /// Follows the pin while the writer is held up, in pieces: it gets one go in between, and what
    /// it adds then is little beside what was copied, so that this ends behind any writer. False
    /// when the write lock was not to be had.
    private func brake() throws -> Bool {
        try handshake()
        let began = MonotonicTime.now
        let before = position
        urgentSince = urgentSince ?? began
        var goesOn = true
        while goesOn {
            if position != before { try? Readiness.pause(nanoseconds: Self.brakePause) }
            let isHeld = try underWriteLock {
                let reached = position
                try look(limit: brakeLimit)
                let isCaughtUp = index.header()?.mxFrame == position.frame
                if isCaughtUp, !pins.isNewerHeld { _ = try pins.takeNewer(index) }
                goesOn = !isCaughtUp && position != reached
            }
            guard isHeld else { return false }
        }
        try catchUpSafely()
        measureCopying(since: before, in: MonotonicTime.now - began, isAlone: true)
        _ = try pins.dropOlderIfPermitted()
        return true
    }

    private var brakeLimit: CopyLimit {
        CopyLimit(
            frames: FrameIndex(clamping: max(256, Self.holdMax / max(1, room.copyCost))),
            deadline: MonotonicTime.now + Self.holdMax
        )
    }

    /// Follows the pin beside the writer.
    private func followPin() throws {
        try handshake()
        if !pins.isNewerHeld { _ = try pins.takeNewer(index) }
        let began = MonotonicTime.now
        let before = position
        try catchUpSafely()
        measureCopying(since: before, in: MonotonicTime.now - began, isAlone: false)
        _ = try pins.dropOlderIfPermitted()
    }

    private func measureCopying(since before: WALPosition, in time: Int64, isAlone: Bool) {
        guard before.salts == position.salts else { return }
        room.copied(position.frame - before.frame, in: time, isAlone: isAlone)
    }

    /// Nanoseconds that it takes to copy what is committed, and to make it safe.
    private func costOfCopying(_ header: WALIndexHeader) -> Int64 {
        Int64(header.mxFrame - min(position.frame, header.mxFrame)) * room.copyCost
    }

    /// Rounds before other databases have their turn.
    private static let roundsMax = 4
    /// How long the write lock is to be held, as expected before it is taken, in nanoseconds.
    private static let holdMax = 12 * Nanoseconds.millisecond
    /// The same where another round beside the writer would make it less.
    private static let holdGood = 8 * Nanoseconds.millisecond
    /// Below this there is nothing to be gained by holding the writer up for it.
    private static let copyingWorthBraking = 2 * Nanoseconds.millisecond
    /// Frames whose way to the disk takes notably longer than a sync of nothing.
    private static let framesWorthSyncing: FrameIndex = 1000
    /// How long a checkpoint of the application's is waited for, and how often it is looked at.
    private static let checkpointTime = 16 * Nanoseconds.millisecond
    private static let checkpointPause = Nanoseconds.millisecond / 5
    /// What a writer that is held up more than once gets in between, in nanoseconds.
    private static let brakePause = Nanoseconds.millisecond
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
        // Nobody commits now, so nobody begins a checkpoint after a commit; but the last one to
        // commit may still be at it.
        var isRoomMade = false
        while pins.rules.safe == pins.rules.copied {
            let isBackfilled = try advancePin() && passive()
            isRoomMade = try isBackfilled && lastBackfill == position.frame && advancePin()
            // A reader in the way does not go away so soon.
            if isRoomMade || isBackfilled && lastBackfill < position.frame { break }
            guard MonotonicTime.now - began < Self.holdMax else { break }
            try? Readiness.pause(nanoseconds: Self.checkpointPause)
        }
        if isRoomMade {
            leapedAt = pins.rules.copied
            room.succeeded(.now)
        }
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
