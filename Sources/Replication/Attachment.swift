import Bytes
import Platform
import SQLiteAccess
import WALFormat

/// The connections to one database, with a pin held (DESIGN §4.0).
struct Attachment {
    let checkpointer: Connection
    let index: WALIndex
    /// The WAL-index as the second pin found it; the base of everything that follows.
    let header: WALIndexHeader
    let pageSize: PageSize
    /// How the database can be recognised.
    let identity: FileStatus
    private let holding: Connection
    private let idle: Connection
    private let isOnMark: Bool

    /// How long a checkpoint of somebody else may keep us from attaching.
    private static let handshakeTime: Int64 = 30 * Nanoseconds.second

    /// Attaches to a WAL database. `mayCheckpoint` is false where a set-up is known to be unsafe.
    init(path: String, mayCheckpoint: Bool = true) throws {
        guard let identity = try FileSystem.status(path) else {
            throw ReplicationError(.databaseChanged, "'\(path)' has gone")
        }
        self.identity = identity
        let first = try Self.open(path, .pin)
        let second = try Self.open(path, .pin)
        checkpointer = try Self.open(path, .checkpointer)
        do {
            try first.beginRead()
            guard try first.text("PRAGMA journal_mode") == "wal" else {
                throw ReplicationError(.notWAL, "'\(path)' is not in WAL mode")
            }
        } catch let error as SQLiteError {
            throw Self.explain(error, path: path)
        }
        // Whoever read the header before our first pin must not act on it any more.
        let deadline = MonotonicTime.now + Self.handshakeTime
        while mayCheckpoint, try checkpointer.checkpointPassive() != .done {
            guard MonotonicTime.now < deadline else {
                throw ReplicationError(
                    .exclusivelyLocked,
                    "a checkpoint of another connection to '\(path)' does not end; "
                        + "look for a stopped process"
                )
            }
            try Readiness.pause(nanoseconds: Nanoseconds.millisecond)
        }
        // The mapping exists once the connection has read.
        _ = try second.integer("PRAGMA schema_version")
        index = try WALIndex(second)
        while true {
            guard let before = index.header() else {
                throw ReplicationError(.hazard, "the WAL-index of '\(path)' cannot be read")
            }
            try second.beginRead()
            if let after = index.header(), let info = index.checkpointInfo(),
                after.salts == before.salts
            {
                header = after
                isOnMark = info.nBackfill < before.mxFrame
                break
            }
            try second.rollback()
        }
        try first.rollback()
        guard let pageSize = PageSize(Int(try second.integer("PRAGMA page_size"))),
            header.pageSize == nil || header.pageSize == pageSize
        else {
            throw ReplicationError(.databaseChanged, "the page size of '\(path)' is not certain")
        }
        self.pageSize = pageSize
        holding = second
        idle = first
    }

    /// The pins, for a follower that resumes at `frame`.
    func pins(resumingAt frame: FrameIndex) -> PinPair {
        PinPair(
            holding: holding,
            idle: idle,
            rules: PinProtocol(header: header, isOnMark: isOnMark, resumedAt: frame)
        )
    }

    private static func open(_ path: String, _ role: Connection.Role) throws -> Connection {
        do throws(SQLiteError) {
            return try Connection(path: path, role: role)
        } catch {
            throw explain(error, path: path)
        }
    }

    /// What SQLite's answer means for the user.
    static func explain(_ error: SQLiteError, path: String) -> any Error {
        if error.isNotADatabase {
            return ReplicationError(
                .notADatabase,
                "'\(path)' is not a SQLite database or is encrypted"
            )
        }
        if error.isBusy {
            return ReplicationError(
                .exclusivelyLocked,
                "'\(path)' is locked exclusively by another connection; "
                    + "use PRAGMA locking_mode=NORMAL in the application"
            )
        }
        if error.isAccessDenied {
            return ReplicationError(
                .accessDenied,
                "'\(path)' cannot be opened: \(error.message); "
                    + "run as the database's owner, or grant read and write permission"
            )
        }
        return error
    }
}
