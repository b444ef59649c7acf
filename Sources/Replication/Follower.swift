import Bytes
import Glibc
import Hazards
import Platform
import SQLiteAccess
import SegmentFormat
import WALFormat

/// Where log lines go: a constant message, and values.
package typealias ReplicationLog =
    @Sendable (_ level: ReplicationLogLevel, _ message: String, _ values: [(String, String)]) ->
    Void

/// How much a log line matters.
package enum ReplicationLogLevel: Sendable {
    case debug
    case info
    case warning
    case error
}

/// Follows the WAL of one database: wakes up, copies commits, seals segments, moves the pins, and
/// lets the WAL be reset (DESIGN §3, §4). Belongs to one thread at a time; nothing it does waits.
final class Follower {
    let configuration: FollowerConfiguration
    let log: ReplicationLog
    let queue: UploadQueue
    /// The lane of the snapshots, and how many were begun.
    let snapshotQueue: UploadQueue
    var nextSnapshot = 0
    let signal: FollowerSignal

    private var openCheckpointer: Connection?
    let index: WALIndex
    let pageSize: PageSize
    let identity: FileStatus
    let copier: CommitCopier
    var pins: PinPair
    var wal: WALFile
    var locker: Connection?

    /// Whether the generation's base is in the store: before, nothing is durable.
    var hasBase: Bool
    /// The place in the WAL up to which commits were copied, and the last commit.
    var position: WALPosition
    var txid: TXID
    /// The last commit that has arrived in the store.
    var arrived: TXID
    var link: SegmentChecksum?
    var lastSeen: Timestamp
    var lastLook: Timestamp
    /// Frames up to here were in the WAL when we attached; at it, the state's digest.
    var proven: (frame: FrameIndex, digest: DatabaseDigest)?
    /// The WAL-index's count of transactions at `position`; nil when it is not known.
    var lastChange: UInt32?
    var saidUnchecked = false

    /// Keeps other agents of this machine away.
    var lock: AgentLock?
    /// generation.json of a generation that is created with its first segment.
    var pendingRecord: [UInt8]?
    /// Its number in the queue, once it is there.
    var recordItem: Int?
    var batch: SegmentBatch?
    var snapshot: SnapshotJob?
    var levels: LevelWork
    var unsafeSegments: [SealedSegment] = []
    var nextItem = 0
    var lastSeal: MonotonicTime?
    var firstUnsealed: MonotonicTime?
    var lastCommit: MonotonicTime

    var commitWatch = Watch()
    var checkpointWatch = Watch()
    var lastBackfill: FrameIndex = 0
    /// Since when an application's checkpoint waits for commits to become safe, and for which.
    var urgentSince: MonotonicTime?
    var urgentPoint: PinProtocol.Point?
    /// When pending commits were last made urgent by a checkpoint of the application's.
    var lastHurry: MonotonicTime?
    var wasCheckpointRunning = false
    var lastForeignCheckpoint: MonotonicTime?
    var leapedAt: PinProtocol.Point?
    var nextLockProbe: MonotonicTime?
    var nextLeap: MonotonicTime?
    /// When the present life of the WAL began, as far as we saw.
    var epochBegan: MonotonicTime
    var room = RoomMaking()
    var resetBackOff = BackOff(
        first: 2 * Nanoseconds.millisecond,
        most: 100 * Nanoseconds.millisecond
    )
    /// A snapshot that is wanted could not begin.
    var snapshotBackOff = BackOff(first: 50 * Nanoseconds.millisecond)
    /// The local disk did not take a spooled segment.
    var isSpoolOver = false
    var spoolBackOff = BackOff(most: 30 * Nanoseconds.second)
    var quietBackOff = BackOff()
    var nextSafetyPoll: MonotonicTime
    var nextIdentityLook: MonotonicTime
    /// Whether the kernel tells of what happens to the files.
    var isWatched = true
    var safetyPollInterval = 5 * Nanoseconds.second
    var invariants: InvariantGuard
    var nextInvariantLook: MonotonicTime
    var isFinishing = false
    /// Called before something that may take long: others must not wait for it.
    var beforeLong: (() -> Void)?
    /// Called once: the base is in the store, or none was needed.
    var whenSettled: (() -> Void)?
    var syncs: [PendingSync] = []
    var statistics = Statistics()
    /// Who is told how things stand, and what it knows already.
    var meter: AgentMeter?
    var reported = Statistics()
    /// When the last commit that has arrived was seen.
    var arrivedTime: Timestamp?

    /// Counts since attaching; logged when the follower ends.
    struct Statistics {
        var commits: UInt64 = 0
        var segments: UInt64 = 0
        var forcedResets: UInt64 = 0
        var quietResets: UInt64 = 0
        var writeLockHeldMax: Int64 = 0
        var writeLockHeld: Int64 = 0
        var walFramesMax: FrameIndex = 0

        /// The write lock was held for so many nanoseconds.
        mutating func heldWriteLock(_ time: Int64) {
            writeLockHeldMax = max(writeLockHeldMax, time)
            writeLockHeld += time
        }
    }

    static let segmentRawBytesMax: UInt64 = 32 * 1024 * 1024

    init(
        attachment: Attachment,
        wal: WALFile,
        start: Start,
        configuration: FollowerConfiguration,
        lanes: UploadLanes,
        signal: FollowerSignal,
        log: @escaping ReplicationLog
    ) {
        self.configuration = configuration
        queue = lanes.log
        snapshotQueue = lanes.snapshots
        hasBase = start.hasBase
        self.signal = signal
        self.log = log
        index = attachment.index
        pageSize = attachment.pageSize
        identity = attachment.identity
        pins = attachment.pins(resumingAt: start.position.frame)
        self.wal = wal
        copier = CommitCopier(
            index: attachment.index,
            pageSize: attachment.pageSize,
            pageCount: start.pageCount,
            digest: start.digest
        )
        position = start.position
        txid = start.txid
        arrived = start.txid
        link = start.link
        proven = start.proven
        lastChange =
            start.position.frame == attachment.header.mxFrame ? attachment.header.change : nil
        levels = LevelWork(policy: configuration.levels)
        lastSeen = start.time
        lastLook = Timestamp.now
        let now = MonotonicTime.now
        lastCommit = now
        epochBegan = now
        nextSafetyPoll = now
        nextIdentityLook = now
        nextInvariantLook = now
        invariants = InvariantGuard(database: configuration.databasePath)
    }

    /// What a follower begins with: the state that the store has, or is about to get.
    struct Start {
        var position: WALPosition
        var txid: TXID
        var time: Timestamp
        var link: SegmentChecksum?
        var pageCount: UInt32
        var digest: DatabaseDigest?
        var proven: (frame: FrameIndex, digest: DatabaseDigest)?
        /// Whether the store has a base already.
        var hasBase: Bool
    }

    // MARK: - A round

    /// Look, copy, ship, move pins, reset.
    func step() throws {
        try collectDurable()
        try produceSnapshot()
        try produceLevel()
        try look()
        try guardInvariants()
        try lookAtCheckpoints()
        try ship()
        try movePins()
        try beginWantedSnapshot()
        try beginDueLevel()
        try makeRoom()
    }

    /// When to wake up without an event.
    func nextDeadline(_ now: MonotonicTime) -> MonotonicTime {
        var deadline = nextSafetyPoll
        func consider(_ time: MonotonicTime?) {
            if let time, time < deadline { deadline = time }
        }
        consider(commitWatch.next)
        consider(checkpointWatch.next)
        if batch != nil, !isSendingSegments { consider(sealTime(now)) }
        consider(nextLockProbe)
        consider(nextLeap)
        if invariants.isSuspicious { consider(nextInvariantLook) }
        if let urgentSince { consider(urgentSince + configuration.urgentStoreTime) }
        if let time = quietTime { consider(time) }
        consider(snapshotTime(now))
        consider(levelTime(now))
        if wantsRoom { consider(resetBackOff.next ?? now) }
        if mayCheckpoint, pins.rules.isHandshakeDue { consider(now + Nanoseconds.millisecond) }
        return max(deadline, now)
    }

    // MARK: - Connections

    /// The connection that checkpoints, opened when it is needed.
    func checkpointer() throws(SQLiteError) -> Connection {
        if let openCheckpointer { return openCheckpointer }
        let opened = try Connection(path: configuration.databasePath, role: .checkpointer)
        openCheckpointer = opened
        return opened
    }

    /// A database that nobody writes keeps one connection, which holds the pin.
    private func releaseConnections() {
        pins.releaseSpare()
        openCheckpointer = nil
        locker = nil
    }

    /// Without a commit for so long only what holds the pin is kept open, in nanoseconds.
    private static let quietTime = 60 * Nanoseconds.second

    /// Between two looks at the files' identity where names that change raise events: what is left
    /// is a folder further up that goes to another place, in nanoseconds.
    private static let identityInterval = 30 * Nanoseconds.second

    // MARK: - Looking

    /// Looks at the WAL-index and copies what is new; with a limit a part of it.
    func look(limit: CopyLimit? = nil) throws {
        let now = MonotonicTime.now
        if now >= nextSafetyPoll {
            nextSafetyPoll = laterSafetyPoll(now)
            if now - lastCommit > safetyPollInterval {
                wal.releaseSlab()
                copier.release()
            }
            if now - lastCommit > Self.quietTime { releaseConnections() }
            // Names that change raise events, where there are any.
            if !isWatched || now >= nextIdentityLook {
                nextIdentityLook = now + Self.identityInterval
                try checkIdentity()
            }
        }
        guard let header = index.header() else {
            throw ReplicationError(
                .hazard,
                "the WAL-index of '\(configuration.databasePath)' cannot be read"
            )
        }
        let seenAt = max(Timestamp.now, lastSeen)
        statistics.walFramesMax = max(statistics.walFramesMax, header.mxFrame)
        switch try pins.observe(header) {
        case .unchanged: break
        case .broken(let reason):
            raiseBroken(reason)
            throw hazard(reason)
        case .appended:
            try copy(header, seenAt: seenAt, limit: limit)
        case .reset:
            beganAnew(header.salts)
            // The sooner the better: a reset publishes its header before frame 1 is written.
            try handshake()
            if header.mxFrame > 0 { try copy(header, seenAt: seenAt, limit: limit) }
        }
        lastLook = seenAt
        if commitWatch.next != nil {
            if try wal.hasFrames(after: header) {
                commitWatch.lookedInVain(now)
            } else {
                commitWatch.stop()
            }
        }
    }

    func hazard(_ reason: String) -> ReplicationError {
        ReplicationError(
            .hazard,
            "'\(configuration.databasePath)': \(reason); continuity cannot be proven"
        )
    }

    /// The file at the path must still be the one that we follow, and its WAL too.
    func checkIdentity() throws {
        let path = configuration.databasePath
        let status = try FileSystem.status(path)
        guard let status, status.device == identity.device, status.inode == identity.inode else {
            throw ReplicationError(
                .databaseChanged,
                "'\(path)' was \(status == nil ? "deleted" : "replaced") while it was followed"
            )
        }
        let walStatus = try FileSystem.status(wal.path)
        guard let walStatus, try walStatus.inode == wal.status().inode else {
            throw ReplicationError(.databaseChanged, "'\(wal.path)' was deleted or replaced")
        }
    }

    func reportEnd() {
        log(
            .info,
            "stopped following",
            [
                ("commits", "\(statistics.commits)"), ("segments", "\(statistics.segments)"),
                ("forced_resets", "\(statistics.forcedResets)"),
                ("quiet_resets", "\(statistics.quietResets)"),
                ("write_lock_held_max_us", "\(statistics.writeLockHeldMax / 1000)"),
                ("write_lock_held_us", "\(statistics.writeLockHeld / 1000)"),
                ("wal_frames_max", "\(statistics.walFramesMax)"),
            ]
        )
    }
}

/// Times after which something that failed is tried again: doubling from `first` up to `most`.
struct BackOff {
    private(set) var next: MonotonicTime?
    /// The last pause, in nanoseconds.
    private(set) var interval: Int64 = 0
    private let first: Int64
    private let most: Int64

    init(first: Int64 = 5 * Nanoseconds.millisecond, most: Int64 = Nanoseconds.second) {
        self.first = first
        self.most = most
    }

    func isReady(_ now: MonotonicTime) -> Bool { next.map { now >= $0 } ?? true }

    mutating func failed(_ now: MonotonicTime) {
        interval = min(max(interval * 2, first), most)
        next = now + interval
    }

    mutating func succeeded() { self = BackOff(first: first, most: most) }
}
