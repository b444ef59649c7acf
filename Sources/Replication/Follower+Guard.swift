import Hazards
import Platform
import SQLiteAccess
import WALFormat

/// The run-time guard: the invariants of DESIGN §4.5, at each safety poll.
extension Follower {
    private static let suspiciousInterval = 200 * Nanoseconds.millisecond
    private static let verificationTime = 20 * Nanoseconds.millisecond

    /// No checkpoint and no reset any more, and no other way to let the WAL start over.
    var mayCheckpoint: Bool { !configuration.alarm.isFatal }

    /// Looks whether WAL, WAL-index and database file still belong together, and raises an alarm
    /// when they do not. Never inside a transaction of ours: it may take the write lock.
    func guardInvariants() throws {
        let now = MonotonicTime.now
        guard now >= nextInvariantLook else { return }
        var decision = invariants.poll(try sampleIndex())
        if case .verify = decision { decision = try verifyInvariants() }
        if case .alarm(let finding) = decision { raise(finding) }
        let interval = invariants.isSuspicious ? Self.suspiciousInterval : safetyPollInterval
        nextInvariantLook = now + interval
    }

    /// Logs a finding, unless it is known, and keeps it for whoever wants to checkpoint.
    func raise(_ finding: Finding) {
        guard configuration.alarm.raise(finding) else { return }
        Agent.report(finding, database: configuration.databasePath, log: log)
    }

    /// What a broken look of the pins' protocol proves: a reset under a read mark is a lock that
    /// somebody does not see. Under lock 0 a reset is allowed, and only comes too early directly
    /// after a start, before the WAL has been copied: that costs commits, and is no hazard.
    func raiseBroken(_ reason: String) {
        guard pins.rules.older.isOnMark else { return }
        raise(
            Finding(
                .locksIgnored,
                .fatal,
                "'\(configuration.databasePath)': \(reason): another process does not see our lock",
                remedy: "stop all but one of the processes that use the database and run "
                    + "'highwater doctor'"
            )
        )
    }

    private func verifyInvariants() throws -> InvariantGuard.Decision {
        let locker: Connection
        do throws(SQLiteError) {
            if let known = self.locker {
                locker = known
            } else {
                locker = try Connection(path: configuration.databasePath, role: .writeLocker)
                self.locker = locker
            }
            guard try locker.beginImmediate(within: Self.verificationTime) else {
                return invariants.couldNotVerify()
            }
        } catch {
            // With a broken WAL-index SQLite may find no database there any more.
            guard error.isDamage else { return invariants.couldNotVerify() }
            return invariants.refused("\(error)")
        }
        let sample: IndexSample
        do {
            sample = try sampleIndex()
        } catch {
            try? locker.rollback()
            throw error
        }
        try locker.rollback()
        return invariants.verified(sample)
    }

    private func sampleIndex() throws -> IndexSample {
        let header = index.header()
        var sample = IndexSample(header: header, isStable: false)
        sample.checkpoint = index.checkpointInfo()
        if let header, header.mxFrame > 0 {
            sample.walSalts = (try? wal.header())??.salts
            sample.lastFrame = try wal.frameHeader(header.mxFrame)
        }
        sample.databaseBytes = try index.fileSize()
        // `stat` opens nothing, so that our locks stay.
        if let status = try FileSystem.status(configuration.databasePath + "-shm") {
            sample.sharedMemory = .init(inode: status.inode, bytes: status.size)
        }
        sample.isStable = header == index.header()
        return sample
    }
}
