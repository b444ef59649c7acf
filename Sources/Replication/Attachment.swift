import Bytes
import Platform
import SQLiteAccess
import WALFormat

/// The connections to one database, with a first pin held: from now on no commit that is in the
/// WAL can be lost without notice, and the store may be asked where the backup ends.
struct FirstPin {
    let path: String
    /// How the database can be recognised.
    let identity: FileStatus
    let index: WALIndex
    let pageSize: PageSize
    fileprivate let holding: Connection
    fileprivate let second: Connection

    /// Opens a WAL database and takes the pin.
    init(path: String) throws {
        guard let identity = try FileSystem.status(path) else {
            throw ReplicationError(.databaseChanged, "'\(path)' has gone")
        }
        self.path = path
        self.identity = identity
        holding = try Attachment.open(path, .pin)
        second = try Attachment.open(path, .pin)
        do {
            try holding.beginRead()
            guard try holding.text("PRAGMA journal_mode") == "wal" else {
                throw ReplicationError(.notWAL, "'\(path)' is not in WAL mode")
            }
            guard let size = PageSize(Int(try holding.integer("PRAGMA page_size"))) else {
                throw ReplicationError(.databaseChanged, "'\(path)' has an impossible page size")
            }
            pageSize = size
            index = try WALIndex(holding)
        } catch let error as SQLiteError {
            throw Attachment.explain(error, path: path)
        }
    }

    /// The hashes of the database file by itself, when it provably holds the state at the start of
    /// the WAL: no checkpoint has begun to copy frames since the last reset, and our pin, which is
    /// a mark then, keeps the WAL from being reset.
    func hashesAtStartOfWAL() throws -> PageHashList? {
        guard let before = index.header(), before.mxFrame > 0, isFileUntouched(before) else {
            return nil
        }
        let pageCount = UInt32(clamping: try index.fileSize() / Int64(pageSize.bytes))
        let hashes = try PageHashList(pageCount: pageCount, pageSize: pageSize) { first, buffer in
            try index.readPages(from: first, size: pageSize, into: buffer)
        }
        guard let after = index.header(), after.salts == before.salts, isFileUntouched(after)
        else { return nil }
        return hashes
    }

    private func isFileUntouched(_ header: WALIndexHeader) -> Bool {
        index.checkpointInfo().map { $0.nBackfill == 0 && $0.nBackfillAttempted == 0 } ?? false
    }
}

/// The connections to one database, with the pin held from which everything counts (DESIGN §4.0).
struct Attachment {
    let index: WALIndex
    /// The WAL-index as the second pin found it; the base of everything that follows.
    let header: WALIndexHeader
    let pageSize: PageSize
    /// How the database can be recognised.
    let identity: FileStatus
    private let holding: Connection
    private let isOnMark: Bool

    /// How long a checkpoint of somebody else may keep us from attaching.
    private static let handshakeTime: Int64 = 30 * Nanoseconds.second

    /// Takes the second pin, once nobody is left who read the header before the first one.
    init(_ pin: FirstPin) throws {
        let path = pin.path
        identity = pin.identity
        let (first, second) = (pin.holding, pin.second)
        // The mapping exists once the connection has read.
        _ = try second.integer("PRAGMA schema_version")
        index = try WALIndex(second)
        (header, isOnMark) = try Self.takeSecondPin(second, index, path: path)
        try first.rollback()
        pageSize = pin.pageSize
        guard header.pageSize == nil || header.pageSize == pageSize else {
            throw ReplicationError(.databaseChanged, "the page size of '\(path)' is not certain")
        }
        holding = second
    }

    /// Takes the pin that everything counts from, while the first one is held.
    ///
    /// Whoever read the header before our first pin must not act on it any more: a checkpointer
    /// takes CKPT before it reads the header (wal.c sqlite3WalCheckpoint), so once that lock was
    /// free for a moment nobody is left. DESIGN §4.0 has a PASSIVE here. That would also copy
    /// frames that are not in the store yet, so that our second pin lands on lock 0, the next
    /// writer resets the WAL, and a kill in that moment costs commits.
    ///
    /// The first pin may rest on lock 0 itself. Then the WAL may be reset after that moment, by a
    /// writer that overtakes somebody who has just read the header. With the second pin on a mark,
    /// letting go of the first would be leaving lock 0 without the handshake of DESIGN §4.4. So
    /// that moment must lie after the last change of salts (found by Tests/ModelTests).
    private static func takeSecondPin(
        _ second: Connection,
        _ index: WALIndex,
        path: String
    ) throws -> (header: WALIndexHeader, isOnMark: Bool) {
        while true {
            let salts = try look(index, path: path).salts
            try waitForCheckpoints(index, path: path)
            let before = try look(index, path: path)
            try second.beginRead()
            if let after = index.header(), let info = index.checkpointInfo(),
                before.salts == salts, after.salts == salts
            {
                return (after, info.nBackfill < before.mxFrame)
            }
            try second.rollback()
        }
    }

    private static func look(_ index: WALIndex, path: String) throws -> WALIndexHeader {
        guard let header = index.header() else {
            throw ReplicationError(.hazard, "the WAL-index of '\(path)' cannot be read")
        }
        return header
    }

    /// Returns once nobody ran a checkpoint for a moment.
    private static func waitForCheckpoints(_ index: WALIndex, path: String) throws {
        let deadline = MonotonicTime.now + Self.handshakeTime
        while index.isCheckpointRunning() {
            guard MonotonicTime.now < deadline else {
                throw ReplicationError(
                    .exclusivelyLocked,
                    "a checkpoint of another connection to '\(path)' does not end; "
                        + "look for a stopped process"
                )
            }
            try Readiness.pause(nanoseconds: Nanoseconds.millisecond)
        }
    }

    /// The pins, for a follower that resumes at `frame`.
    func pins(resumingAt frame: FrameIndex) -> PinPair {
        PinPair(
            holding: holding,
            rules: PinProtocol(header: header, isOnMark: isOnMark, resumedAt: frame)
        )
    }

    fileprivate static func open(_ path: String, _ role: Connection.Role) throws -> Connection {
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
