package import Bytes
package import WALFormat

/// One look at a database's WAL, WAL-index and file, for the invariants of DESIGN §4.5.
package struct IndexSample: Sendable, Hashable {
    /// The WAL-index header; nil when it could not be read although many tries were made.
    package var header: WALIndexHeader?
    /// True when the header was the same before and after everything else was read. What was read
    /// beside a header that moved proves nothing.
    package var isStable: Bool
    /// How far checkpoints have come.
    package var checkpoint: CheckpointInfo?
    /// The salts in the WAL's own header; nil when it has none.
    package var walSalts: WALSalts?
    /// The header of frame mxFrame in the WAL; nil when the file ends before it.
    package var lastFrame: FrameHeader?
    /// The database file's size in bytes.
    package var databaseBytes: Int64?
    /// The inode and size of `-shm`, nil when its name is gone.
    package var sharedMemory: SharedMemoryFile?

    /// What `stat` says of `-shm`.
    package struct SharedMemoryFile: Sendable, Hashable {
        /// Its identity and size.
        package var inode: UInt64
        package var bytes: Int64

        /// A file.
        package init(inode: UInt64, bytes: Int64) {
            self.inode = inode
            self.bytes = bytes
        }
    }

    /// A look.
    package init(header: WALIndexHeader?, isStable: Bool) {
        self.header = header
        self.isStable = isStable
    }
}

/// An invariant that does not hold.
package enum InvariantViolation: String, Sendable, Hashable, CaseIterable {
    /// The two copies of the header differ, or its checksum is wrong, for long.
    case indexUnreadable = "index-unreadable"
    /// WAL and WAL-index are of different lives.
    case saltsDiffer = "salts-differ"
    /// The WAL ends before mxFrame.
    case walTooShort = "wal-too-short"
    /// Frame mxFrame is not the one that the WAL-index describes.
    case frameDiffers = "frame-differs"
    /// More frames are marked as checkpointed than there are.
    case backfillBeyondEnd = "backfill-beyond-end"
    /// Everything is marked as checkpointed, and the database file is too short for it.
    case fileTooShort = "file-too-short"
    /// `-shm` shrank or was replaced while we hold it open.
    case sharedMemoryReplaced = "shared-memory-replaced"
}

/// The run-time guard: looks at samples, waits until the same violation was seen several times in
/// a row, asks for a look under the write lock, and only then alarms. Pure.
package struct InvariantGuard: Sendable {
    /// What to do after a look.
    package enum Decision: Sendable, Hashable {
        /// Nothing is wrong.
        case quiet
        /// Look again soon.
        case suspicious(InvariantViolation)
        /// Take the write lock, look, and report with `verified` or `couldNotVerify`.
        case verify(InvariantViolation)
        /// Raise this, once.
        case alarm(Finding)
    }

    private let database: String
    private var suspicion: (violation: InvariantViolation, polls: Int)?
    private var failedVerifications = 0
    private var sharedMemory: IndexSample.SharedMemoryFile?
    private var alarmed: Set<InvariantViolation> = []

    /// A guard of a database that has been attached to.
    package init(database: String) { self.database = database }

    /// Takes note of a look without the write lock.
    package mutating func poll(_ sample: IndexSample) -> Decision {
        guard let violation = violation(in: sample) else {
            if sample.isStable { forget() }
            return .quiet
        }
        guard !alarmed.contains(violation) else { return .quiet }
        let polls = suspicion?.violation == violation ? (suspicion?.polls ?? 0) + 1 : 1
        suspicion = (violation, polls)
        return polls >= Limits.suspiciousPolls ? .verify(violation) : .suspicious(violation)
    }

    /// Takes note of a look under the write lock: nobody else can be in the middle of a commit.
    package mutating func verified(_ sample: IndexSample) -> Decision {
        guard let violation = violation(in: sample) else {
            forget()
            return .quiet
        }
        return alarm(violation, verdict: .fatal, how: "seen while the write lock was held")
    }

    /// SQLite itself found damage when it was asked for the write lock.
    package mutating func refused(_ reason: String) -> Decision {
        guard let violation = suspicion?.violation else { return .quiet }
        return alarm(violation, verdict: .fatal, how: "seen several times, and \(reason)")
    }

    /// The write lock was not to be had.
    package mutating func couldNotVerify() -> Decision {
        guard let violation = suspicion?.violation else { return .quiet }
        failedVerifications += 1
        guard failedVerifications >= Limits.verificationAttempts else {
            return .suspicious(violation)
        }
        return alarm(
            violation,
            verdict: .high,
            how: "seen \(failedVerifications) times; the write lock was not to be had"
        )
    }

    /// True while something is suspected: look more often.
    package var isSuspicious: Bool { suspicion != nil }

    private mutating func forget() {
        suspicion = nil
        failedVerifications = 0
    }

    private mutating func alarm(
        _ violation: InvariantViolation,
        verdict: Verdict,
        how: String
    ) -> Decision {
        forget()
        guard alarmed.insert(violation).inserted else { return .quiet }
        return .alarm(violation.finding(database: database, verdict: verdict, how: how))
    }

    // MARK: - The invariants

    private mutating func violation(in sample: IndexSample) -> InvariantViolation? {
        if let found = sharedMemoryViolation(sample) { return found }
        guard sample.isStable else { return nil }
        return Self.violation(in: sample)
    }

    private mutating func sharedMemoryViolation(_ sample: IndexSample) -> InvariantViolation? {
        guard let known = sharedMemory else {
            sharedMemory = sample.sharedMemory
            return nil
        }
        // SQLite only ever lets the file grow while somebody has it open.
        guard let now = sample.sharedMemory, now.inode == known.inode, now.bytes >= known.bytes
        else { return .sharedMemoryReplaced }
        sharedMemory = now
        return nil
    }

    /// What is wrong in one look at a header that did not move.
    package static func violation(in sample: IndexSample) -> InvariantViolation? {
        guard let header = sample.header else { return .indexUnreadable }
        guard header.mxFrame > 0, let pageSize = header.pageSize else { return nil }
        if let checkpoint = sample.checkpoint {
            if checkpoint.nBackfill > header.mxFrame
                || checkpoint.nBackfillAttempted > header.mxFrame
            {
                return .backfillBeyondEnd
            }
            // wal.c walCheckpoint: a complete checkpoint cuts or extends the file to nPage pages
            // before nBackfill says so. (With a chunk size the file may be longer.)
            if checkpoint.nBackfill == header.mxFrame, let bytes = sample.databaseBytes,
                bytes < Int64(header.pageCount) * Int64(pageSize.bytes)
            {
                return .fileTooShort
            }
        }
        guard let walSalts = sample.walSalts, let frame = sample.lastFrame else {
            return .walTooShort
        }
        guard walSalts == header.salts else { return .saltsDiffer }
        // SQLite 3.40.1 commits frames with neither salts nor checksum after ROLLBACK TO of
        // spilled pages; readers never look at either.
        let isUnchecked =
            frame.salts == WALSalts(salt1: 0, salt2: 0) && frame.checksum == .zero
        guard !isUnchecked else { return nil }
        guard frame.salts == header.salts, frame.checksum == header.frameChecksum,
            frame.commitPageCount == header.pageCount
        else { return .frameDiffers }
        return nil
    }
}

extension InvariantViolation {
    /// The violation as a finding.
    package func finding(database: String, verdict: Verdict, how: String) -> Finding {
        let isReset = self == .backfillBeyondEnd || self == .fileTooShort
        return Finding(
            isReset ? .walReset : .walIndex,
            verdict,
            "'\(database)': \(meaning) (\(rawValue); \(how))",
            remedy: isReset ? Self.afterReset : Self.afterForeign
        )
    }

    private var meaning: String {
        switch self {
        case .indexUnreadable: "the WAL-index stays unreadable"
        case .saltsDiffer: "WAL and WAL-index do not belong together"
        case .walTooShort: "the WAL ends before the last commit of the WAL-index"
        case .frameDiffers: "the last frame in the WAL is not the one that the WAL-index knows"
        case .backfillBeyondEnd: "more frames count as checkpointed than there are"
        case .fileTooShort: "everything counts as checkpointed, but the database file is too short"
        case .sharedMemoryReplaced: "-shm was cut or replaced while in use"
        }
    }

    private static let afterReset =
        "SQLite's WAL-reset bug has fired: commits are missing from the database but not from the "
        + "backup. Stop the application, restore the last commit, and update its SQLite to 3.51.3"

    private static let afterForeign =
        "another process writes without sharing memory or locks. Stop all but one of the processes "
        + "that use the database, run 'highwater doctor', and restore from the backup if rows are "
        + "missing"
}
