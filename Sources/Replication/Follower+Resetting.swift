import Bytes
import Platform
import SQLiteAccess
import WALFormat

/// Moving the pins, and letting the WAL be reset (DESIGN §4.1 to §4.4).
extension Follower {
    /// The older pin must stay where a snapshot or a level is being read.
    var isStateBeingRead: Bool { isSnapshotReading || levels.job != nil }

    /// One PASSIVE that returns OK after the salts changed: then nobody is left who read the
    /// header before the reset (§4.4).
    func handshake() throws {
        guard pins.rules.isHandshakeDue, let header = index.header() else { return }
        if try passive() { pins.rules.passiveReturned(saltsBefore: header.salts) }
    }

    /// A PASSIVE checkpoint of ours. True when it held CKPT.
    func passive() throws -> Bool {
        guard mayCheckpoint else { return false }
        beforeLong?()
        let outcome = try checkpointer().checkpointPassive()
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
            batch != nil || !unsafeSegments.isEmpty, urgentSince == nil, mayHurry(now)
        {
            hurry(now)
        }
        if info.nBackfill == position.frame {
            checkpointWatch.stop()
        } else {
            checkpointWatch.lookedInVain(now)
        }
    }

    /// An application that checkpoints after each commit would have each sent by itself. One that
    /// waits for us is found by its lock, and does not wait for this.
    private func mayHurry(_ now: MonotonicTime) -> Bool {
        lastHurry.map { now - $0 >= configuration.syncInterval } ?? true
    }

    /// What is copied has to become safe soon, so that the pins may follow. What is committed later
    /// is not urgent by that: an application that goes on committing would have each commit sent by
    /// itself.
    private func hurry(_ now: MonotonicTime) {
        lastHurry = now
        guard urgentPoint == nil else { return }
        urgentSince = urgentSince ?? now
        urgentPoint = pins.rules.copied
    }

    /// Drops and takes pins as the rules allow.
    func movePins() throws {
        if urgentPoint.map({ pins.rules.safe >= $0 }) ?? true {
            urgentSince = nil
            urgentPoint = nil
        }
        guard !isStateBeingRead else { return }
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
    private static let lockProbeFirst = 10 * Nanoseconds.millisecond
    private static let lockProbeMost = 160 * Nanoseconds.millisecond

    /// A checkpoint that waits for our older pin changes no file, and so raises no event. While
    /// commits are pending the lock that it holds tells. It keeps writers away, too: the time since
    /// the last commit says how long it may have waited, and how soon to look again.
    ///
    /// The probes of all databases fall on a grid, so that many are looked at in one go.
    private func probeForWaitingCheckpoint() {
        guard batch != nil || !unsafeSegments.isEmpty else {
            nextLockProbe = nil
            return
        }
        let now = MonotonicTime.now
        let next = nextLockProbe ?? Self.probeTime(lastCommit + Self.lockProbeFirst)
        guard now >= next else {
            nextLockProbe = next
            return
        }
        guard index.isCheckpointRunning() else {
            wasCheckpointRunning = false
            let pause = max(now - lastCommit, Self.lockProbeFirst)
            nextLockProbe = Self.probeTime(now + min(pause, Self.lockProbeMost))
            return
        }
        nextLockProbe = now + Self.lockProbeInterval
        lastForeignCheckpoint = now
        checkpointWatch.start(now)
        // Twice in a row: it waits. Once may be one that is just at work.
        if wasCheckpointRunning || mayHurry(now) { hurry(now) }
        wasCheckpointRunning = true
    }

    private static func probeTime(_ time: MonotonicTime) -> MonotonicTime {
        time + (lockProbeFirst - time.nanoseconds % lockProbeFirst)
    }

    // MARK: - While the application is quiet

    /// When the application counts as quiet, if the WAL is worth a reset then.
    var quietTime: MonotonicTime? {
        guard !isStateBeingRead, mayCheckpoint, batch == nil,
            position.frame >= configuration.quietResetFrames,
            unsafeSegments.isEmpty
        else { return nil }
        let time = lastCommit + configuration.quietTime
        return quietBackOff.next.map { max($0, time) } ?? time
    }

    /// §4.2: leap to lock 0, then TRUNCATE while it is held. It resets the WAL only if nothing new
    /// was committed; otherwise it would have to backfill, which our lock 0 forbids.
    func resetWhileQuiet() throws -> Bool {
        guard try advancePin(), try passive(), lastBackfill == position.frame,
            try advancePin(), pins.rules.older.point == pins.rules.copied
        else { return false }
        let before = pins.rules.salts
        guard try checkpointer().checkpointTruncate() == .done, let header = index.header(),
            header.salts != before
        else { return false }
        pins.rules.ownReset(header)
        beganAnew(header.salts)
        statistics.quietResets += 1
        return true
    }

    /// A new life of the WAL: everything in the old one was copied and is safe.
    func beganAnew(_ salts: WALSalts) {
        position = WALPosition(salts: salts, frame: 0, checksum: .zero)
        proven = nil
        lastBackfill = 0
        let now = MonotonicTime.now
        room.forgetBeginning()
        epochBegan = now
        wal.releaseSlab()
        leapedAt = nil
        nextLeap = nil
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

    /// Copies everything that is committed and makes it safe in the spool.
    func catchUpSafely() throws {
        try collectDurable()
        urgentSince = urgentSince ?? MonotonicTime.now
        try look()
        try seal()
        try spoolUnsafe()
        urgentSince = nil
        urgentPoint = nil
    }
}
