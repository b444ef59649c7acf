import BackupCatalog
import Bytes
import Hazards
import Maintenance
import Platform
import SQLiteAccess
import SegmentFormat
import WALFormat

/// Attaching to a database and deciding how its history goes on (DESIGN §7), step by step: `open`,
/// `attach`, `decide`, `follower`. Between them the store is asked.
///
/// The steps block, and belong to one task, which takes one after the other.
// Unchecked: the connections inside move from thread to thread only between steps, and the task
// awaits the end of each before it begins the next.
final class FollowerStart: @unchecked Sendable {
    let path: String
    let displayPath: String
    let writer: WriterTag
    let version: String
    let local: LocalState
    let syncInterval: Int64
    let log: ReplicationLog
    /// Fatal where the set-up is known to be unsafe: nothing is checkpointed then.
    let alarm: HazardAlarm

    /// Whether a generation of our own may be gone on in; false after somebody else did.
    let mayContinue: Bool

    /// What happens when the store takes nothing for very long.
    var outage = OutagePolicy()
    var levels: LevelPolicy?
    /// Other limits than the defaults, for tests that want to reach them soon.
    var tuning: ((inout FollowerConfiguration) -> Void)?

    private var lock: AgentLock?
    private var pin: FirstPin?
    private(set) var owner: Hash128?
    private(set) var tip: StoreTip?
    /// The tip as the store has it: without what is in the spool.
    private(set) var indexedTip: StoreTip?
    private(set) var spooled: SpoolRecovery?
    var attached: Attached?
    private(set) var decision: Decision?
    /// What a restore left beside the database, if the database is in that state and nothing else
    /// tells how to go on. The store has to say that it knows it.
    private(set) var hint: FittingHint?
    /// The generation that is written, once that is decided.
    private(set) var generation: GenerationID?

    /// Whether commits were made that cannot be restored one by one.
    var isBridged: Bool {
        if case .bridge = decision { return true }
        return false
    }

    /// How the history goes on.
    enum Decision {
        /// With the frames after a place in the WAL, where the store's last state is.
        case goOn(StartingPlace, reason: String)
        /// From an earlier state of the backup, which is ahead of the database.
        case goBack(PageHashIndex.Match, StartingPlace, pageCount: UInt32, DatabaseDigest)
        /// From the state of the backup that was restored.
        case goOnRestored(PageHashIndex.Match, FittingHint)
        /// With the pages that differ.
        case bridge(Bridge)
        /// With a snapshot.
        case begin(reason: String)
    }

    /// What is known once the second pin is held.
    struct Attached {
        let attachment: Attachment
        let state: PinnedState
        let wal: WALFile
        /// The hashes as of the start of the WAL, where they can be known and are of use.
        let before: PageHashList?
        var hashes: PageHashList?
    }

    init(
        path: String,
        displayPath: String,
        writer: WriterTag,
        version: String,
        local: LocalState,
        syncInterval: Int64,
        alarm: HazardAlarm = HazardAlarm(),
        mayContinue: Bool = true,
        log: @escaping ReplicationLog
    ) {
        self.path = path
        self.displayPath = displayPath
        self.writer = writer
        self.version = version
        self.local = local
        self.syncInterval = syncInterval
        self.alarm = alarm
        self.mayContinue = mayContinue
        self.log = log
    }

    /// Takes the first pin. Returns the token that says which generations are ours.
    func open() throws -> Hash128 {
        lock = try AgentLock.take(path: local.lockPath, database: path, log: log)
        let pin = try FirstPin(path: path)
        self.pin = pin
        let owner = local.ownerToken(of: pin.identity, path: path, log: log)
        self.owner = owner
        return owner
    }

    /// Whether so much waits in the WAL, which our pin keeps from being reset, that the database
    /// should be let go of.
    func checkBacklog() throws {
        guard outage.choice == .protectApplication else { return }
        let bytes = try FileSystem.status(path + "-wal")?.size ?? 0
        guard let reason = outage.reasonToStop(waiting: bytes, near: path) else { return }
        throw ReplicationError(
            .backlogTooLarge,
            "'\(displayPath)' is let go of, so that its disk does not fill up: \(reason)"
        )
    }

    /// The lock beside the database, for the follower, which holds it from now on.
    func takeLock() -> AgentLock? { lock.take() }

    /// Attaches, and compares the database with the store's `tip`. Returns the states to look for
    /// in the store's indexes when that alone does not tell how to go on.
    func attach(tip: StoreTip?) throws -> [PageHashIndex.Wanted] {
        guard let pin else { preconditionFailure("open comes first") }
        self.tip = tip
        indexedTip = tip
        if let tip, tip.isOwn {
            let spooled = try SpoolRecovery(
                folder: local.spoolFolder,
                generation: tip.generation.id,
                after: tip.resume
            )
            self.spooled = spooled
            self.tip?.resume = spooled.resumePoint(after: tip.resume)
        }
        let resume = self.tip?.resume
        let hint = readHint()
        let wal = try WALFile(path: path + "-wal", pageSize: pin.pageSize)
        let before = try hashesAtStartOfWAL(resume, hint, pin, wal)
        let attachment = try Attachment(pin)
        self.pin = nil
        let state = try PinnedState(
            index: attachment.index,
            header: attachment.header,
            pageSize: attachment.pageSize
        )
        try verifyWAL(wal, attachment.header)
        var attached = Attached(attachment: attachment, state: state, wal: wal, before: before)
        defer { self.attached = attached }
        decision = try find(resume, &attached)
        if case .goOn = decision { return [] }
        self.hint = try hint.flatMap { try fitting($0, &attached) }
        guard decision == nil else { return [] }
        return [try attached.hashesAtPin(), before].compactMap { hashes in
            hashes.map {
                PageHashIndex.Wanted(digest: $0.digest, pageCount: UInt32($0.low.count))
            }
        }
    }

    /// The state at the start of the WAL, when it may tell more than the state at our pin: the WAL
    /// does not hold the store's last commit.
    private func hashesAtStartOfWAL(
        _ resume: ResumePoint?,
        _ hint: RestoreHint?,
        _ pin: FirstPin,
        _ wal: WALFile
    ) throws -> PageHashList? {
        guard let header = pin.index.header() else { return nil }
        if let resume, resume.pageSize == pin.pageSize {
            guard try !wal.holds(resume.position, header) else { return nil }
        } else {
            guard hint?.pageSize == pin.pageSize else { return nil }
        }
        return try pin.hashesAtStartOfWAL()
    }

    /// Decides how the history goes on, if that is still open. `index` are the page hashes of the
    /// store's last state, if `attach` asked for them and they could be had; `restored` is where
    /// the store has the state of `hint`. Returns the commit after which a generation that exists
    /// is gone on in, which has to be claimed first.
    func decide(
        index: PageHashIndex?,
        restored: PageHashIndex.Match?
    ) throws -> (generation: GenerationID, after: TXID)? {
        guard var attached else { preconditionFailure("attach comes first") }
        let decision: Decision
        if let hint, let restored {
            decision = .goOnRestored(restored, hint)
        } else {
            decision = try self.decision ?? decide(withSpooled(index), &attached)
        }
        self.attached = attached
        self.decision = decision
        report(decision)
        guard let tip, !begins(decision) else {
            generation = newGeneration()
            return nil
        }
        generation = tip.generation.id
        return (tip.generation.id, tip.resume.txid)
    }

    /// The chain of checksums must lead from the WAL's header to what the WAL-index says.
    private func verifyWAL(_ wal: WALFile, _ header: WALIndexHeader) throws {
        guard header.mxFrame > 0 else { return }
        let start = WALPosition(salts: header.salts, frame: 0, checksum: .zero)
        let commits: [WALFile.CommitBoundary]
        do {
            commits = try wal.verify(
                after: start,
                through: header.mxFrame,
                bigEndian: header.hasBigEndianChecksums
            )
        } catch let error as WALError {
            // A writer may reset the WAL while we attach on lock 0; the next look finds it whole.
            throw ReplicationError(.hazard, "the WAL of '\(path)' does not verify: \(error)")
        }
        guard commits.last?.checksum == header.frameChecksum else {
            throw ReplicationError(.hazard, "the WAL of '\(path)' does not match its WAL-index")
        }
    }

    /// DESIGN §7, cases 1 and 2: the store's WAL position is in the WAL, or its last state is the
    /// database's, now or at the start of the WAL.
    private func find(_ resume: ResumePoint?, _ attached: inout Attached) throws -> Decision? {
        let header = attached.attachment.header
        guard let resume, resume.pageSize == attached.attachment.pageSize else {
            return .begin(reason: "the store has no backup that this database could go on from")
        }
        if let position = resume.position, try attached.wal.holds(position, header) {
            let place =
                position.frame == 0
                ? try attached.placeAtStartOfWAL() : try attached.place(at: position)
            return .goOn(place, reason: "WAL position")
        }
        guard let digest = resume.digest else { return nil }
        if let before = attached.before, before.digest == digest {
            return .goOn(try attached.placeAtStartOfWAL(), reason: "digest at the start of the WAL")
        }
        guard resume.pageCount == attached.state.pageCount,
            try attached.hashesAtPin().digest == digest
        else { return nil }
        return .goOn(try attached.place(at: header.position), reason: "database digest")
    }
}

/// Where in the WAL a follower begins to copy.
struct StartingPlace {
    let position: WALPosition
    /// A later frame at which the digest is known, from reading everything. The pre-images of the
    /// frames between may be gone from the database file.
    let proven: (FrameIndex, DatabaseDigest)?
}

extension FollowerStart.Attached {
    /// The hashes of all pages as of the pin.
    mutating func hashesAtPin() throws -> PageHashList {
        let found = try hashes ?? state.hashes(wal: wal)
        hashes = found
        return found
    }

    /// A place in the WAL, before the pin or at it.
    mutating func place(at position: WALPosition) throws -> StartingPlace {
        let last = attachment.header.mxFrame
        guard position.frame < last else { return StartingPlace(position: position, proven: nil) }
        return StartingPlace(position: position, proven: (last, try hashesAtPin().digest))
    }

    /// The place before the WAL's first frame.
    mutating func placeAtStartOfWAL() throws -> StartingPlace {
        try place(
            at: WALPosition(salts: attachment.header.salts, frame: 0, checksum: .zero)
        )
    }
}
