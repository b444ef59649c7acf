import Bytes
import Platform
import SQLiteAccess
import WALFormat

/// Moving the pins, and letting the WAL be reset (DESIGN §4.1 to §4.4).
extension Follower {
    /// The older pin must stay where the snapshot is being read.
    private var isPinFree: Bool { snapshot?.isProduced ?? true }

    /// One PASSIVE that returns OK after the salts changed: then nobody is left who read the
    /// header before the reset (§4.4).
    func handshake() throws {
        guard pins.rules.isHandshakeDue, let header = index.header() else { return }
        if try passive() { pins.rules.passiveReturned(saltsBefore: header.salts) }
    }

    /// A PASSIVE checkpoint of ours. True when it held CKPT.
    private func passive() throws -> Bool {
        guard mayCheckpoint else { return false }
        let outcome = try checkpointer.checkpointPassive()
        lastBackfill = index.checkpointInfo()?.nBackfill ?? lastBackfill
        return outcome == .done
    }

    /// Follows nBackfill after an event on the database file: a checkpoint of somebody else makes
    /// pending commits urgent (§4.2).
    func lookAtCheckpoints() throws {
        probeForWaitingCheckpoint()
        guard let next = checkpointWatch.next else { return }
        let now = MonotonicTime.now
        guard now >= next, let info = index.checkpointInfo() else { return }
        if info.nBackfill != lastBackfill {
            lastBackfill = info.nBackfill
            lastForeignCheckpoint = now
        }
        if let lastForeignCheckpoint, now - lastForeignCheckpoint < Nanoseconds.second,
            batch != nil || !unsafeSegments.isEmpty, urgentSince == nil
        {
            urgentSince = now
        }
        if info.nBackfill == position.frame {
            checkpointWatch.stop()
        } else {
            checkpointWatch.lookedInVain(now)
        }
    }

    /// Drops and takes pins as the rules allow.
    func movePins() throws {
        if batch == nil, unsafeSegments.allSatisfy({ $0.spoolPath != nil }) { urgentSince = nil }
        guard isPinFree else { return }
        try handshake()
        _ = try pins.dropOlderIfPermitted()
        try leapToLockZero()
    }

    /// With everything safe and backfilled by somebody else, a new pin rests on lock 0, and a
    /// RESTART or TRUNCATE of the application succeeds.
    private func leapToLockZero() throws {
        nextLeap = nil
        let rules = pins.rules
        guard mayCheckpoint, position.frame > 0, rules.safe == rules.copied,
            leapedAt != rules.copied,
            let info = index.checkpointInfo(), info.nBackfill == position.frame,
            let header = index.header(), header.salts == position.salts,
            header.mxFrame == position.frame
        else { return }
        if pins.isNewerHeld, try !pins.dropOlderIfPermitted() { return }
        guard try pins.takeNewer(index) else { return }
        guard try pins.dropOlderIfPermitted() else { return }
        // A checkpointer that is just letting go of lock 0 makes BEGIN take a mark instead. While
        // one is at work it is not certain where we landed, so leap again soon.
        if index.isCheckpointRunning() {
            nextLeap = MonotonicTime.now + Self.lockProbeInterval / 5
        } else {
            leapedAt = pins.rules.copied
            nextLeap = nil
        }
    }

    private static let lockProbeInterval = 10 * Nanoseconds.millisecond

    /// A checkpoint that waits for our older pin changes no file, and so raises no event. While
    /// commits are pending the lock that it holds tells.
    private func probeForWaitingCheckpoint() {
        guard batch != nil || !unsafeSegments.isEmpty else {
            nextLockProbe = nil
            return
        }
        let now = MonotonicTime.now
        guard let next = nextLockProbe, now >= next else {
            nextLockProbe = nextLockProbe ?? now + Self.lockProbeInterval
            return
        }
        nextLockProbe = now + Self.lockProbeInterval
        guard index.isCheckpointRunning() else { return }
        lastForeignCheckpoint = now
        checkpointWatch.start(now)
        urgentSince = urgentSince ?? now
    }

    // MARK: - Making room

    /// Frames in the WAL from which on it is reset under the write lock.
    var resetThreshold: FrameIndex {
        if let lastForeignCheckpoint, MonotonicTime.now - lastForeignCheckpoint < Nanoseconds.second
        {
            return configuration.walResetFramesWhenCheckpointing
        }
        let frameSize = Int64(FrameHeader.size + pageSize.bytes)
        let bytesLimit = FrameIndex(clamping: configuration.walResetBytes / frameSize)
        return min(configuration.walResetFrames, bytesLimit)
    }

    /// When the application counts as quiet, if the WAL is worth a reset then.
    var quietTime: MonotonicTime? {
        guard snapshot == nil, mayCheckpoint, position.frame >= configuration.quietResetFrames,
            batch == nil, unsafeSegments.isEmpty
        else { return nil }
        let time = lastCommit + configuration.quietTime
        return quietBackOff.next.map { max($0, time) } ?? time
    }

    /// Whether the WAL has grown too large. Room that was made already waits for the next writer,
    /// which starts the WAL over.
    var wantsRoom: Bool {
        snapshot == nil && mayCheckpoint && position.frame >= resetThreshold
            && leapedAt != pins.rules.copied
    }

    /// Lets the WAL be reset when it has grown.
    func makeRoom() throws {
        guard snapshot == nil, mayCheckpoint else { return }
        let now = MonotonicTime.now
        if wantsRoom, resetBackOff.isReady(now) {
            if try resetUnderWriteLock() {
                resetBackOff.succeeded()
                resetFailures = 0
            } else {
                resetBackOff.failed(now)
                resetFailures += 1
            }
        } else if let quietTime, now >= quietTime {
            if try resetWhileQuiet() { quietBackOff.succeeded() } else { quietBackOff.failed(now) }
        }
    }

    /// §4.2: leap to lock 0, then TRUNCATE while it is held. It resets the WAL only if nothing new
    /// was committed; otherwise it would have to backfill, which our lock 0 forbids.
    private func resetWhileQuiet() throws -> Bool {
        guard try advancePin(), try passive(), lastBackfill == position.frame,
            try advancePin(), pins.rules.older.point == pins.rules.copied
        else { return false }
        let before = pins.rules.salts
        guard try checkpointer.checkpointTruncate() == .done, let header = index.header(),
            header.salts != before
        else { return false }
        pins.rules.ownReset(header)
        position = WALPosition(salts: header.salts, frame: 0, checksum: .zero)
        proven = nil
        lastBackfill = 0
        leapedAt = nil
        nextLeap = nil
        statistics.quietResets += 1
        return true
    }

    /// Takes a new pin at the copied position and drops the older one. False when something new was
    /// committed meanwhile or a rule is in the way.
    func advancePin() throws -> Bool {
        try handshake()
        if pins.isNewerHeld, try !pins.dropOlderIfPermitted() { try pins.giveNewerBack() }
        guard try pins.takeNewer(index) else { return false }
        if try pins.dropOlderIfPermitted() { return true }
        try pins.giveNewerBack()
        return false
    }

    /// §4.3: makes room under a short BEGIN IMMEDIATE; the next writer resets the WAL. Nothing is
    /// waited for inside the lock, and what has to be done inside is kept short: the bulk is
    /// copied, made safe and checkpointed before, again and again until the lock is to be had.
    private func resetUnderWriteLock() throws -> Bool {
        let deadline = MonotonicTime.now + Self.roomTime << Int64(min(resetFailures, 4))
        let tailMax = Self.tailMax << FrameIndex(min(resetFailures, 6))
        repeat {
            try followPin()
            _ = try passive()
            guard let header = index.header(), header.salts == position.salts else { return false }
            guard header.mxFrame - min(lastBackfill, header.mxFrame) <= tailMax else { continue }
            if try underWriteLock({ try makeRoomUnderLock() }) { return true }
        } while MonotonicTime.now < deadline
        return false
    }

    /// How long the first attempt may take; later ones take twice as long each.
    private static let roomTime = 50 * Nanoseconds.millisecond
    /// How long the lock is tried for before what came meanwhile is copied.
    private static let lockTime = 2 * Nanoseconds.millisecond
    /// Frames that the first attempt leaves to be copied and checkpointed inside the lock.
    private static let tailMax: FrameIndex = 500

    /// Runs `body` under the write lock, if it is to be had within `lockTime`. Nothing is written.
    func underWriteLock(_ body: () throws -> Bool) throws -> Bool {
        let locker =
            try self.locker ?? Connection(path: configuration.databasePath, role: .writeLocker)
        self.locker = locker
        guard try locker.beginImmediate(within: Self.lockTime) else { return false }
        let result: Bool
        do {
            result = try body()
        } catch {
            try? locker.rollback()
            throw error
        }
        try locker.rollback()
        return result
    }

    private func makeRoomUnderLock() throws -> Bool {
        let began = MonotonicTime.now
        try catchUpSafely()
        let isRoomMade =
            try advancePin() && passive() && lastBackfill == position.frame && advancePin()
        if isRoomMade { leapedAt = pins.rules.copied }
        let held = MonotonicTime.now - began
        statistics.writeLockHeldMax = max(statistics.writeLockHeldMax, held)
        statistics.forcedResets += isRoomMade ? 1 : 0
        log(
            .debug,
            "made room in the WAL",
            [
                ("write_lock_held_ms", "\(Double(held / 1000) / 1000)"),
                ("frames", "\(position.frame)"),
                ("success", "\(isRoomMade)"),
            ]
        )
        return isRoomMade
    }

    /// Moves the pin forward although commits keep coming: the newer one first, then everything up
    /// to it is copied and made safe, then the older one goes (§4.1).
    private func followPin() throws {
        try handshake()
        if !pins.isNewerHeld { _ = try pins.takeNewer(index) }
        try catchUpSafely()
        _ = try pins.dropOlderIfPermitted()
    }

    /// Copies everything that is committed and makes it safe in the spool.
    func catchUpSafely() throws {
        try collectDurable()
        urgentSince = urgentSince ?? MonotonicTime.now
        try look()
        try seal()
        try spoolUnsafe()
        urgentSince = nil
    }
}
