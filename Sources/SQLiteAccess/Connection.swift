import CSQLite
import Glibc
import Platform

/// One connection to the user's database, opened so that it changes nothing for anybody else.
///
/// DESIGN §4.5: no automatic checkpoints, no checkpoint at close
/// (`SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE`), `query_only`, a small page cache, no lookaside.
/// It belongs to one thread at a time.
///
/// All connections of a process to one database share POSIX locks, and closing any descriptor of
/// the database or its `-shm` drops them all (sqlite.org/howtocorrupt.html §2.2). So nobody but
/// libsqlite3 opens those two files; pages are read with `xRead` of its own handle.
package final class Connection {
    /// What a connection is for.
    package enum Role: Sendable {
        /// Holds read transactions.
        case pin
        /// Runs checkpoints, with synchronous=FULL: weaker, a power cut in the middle of one could
        /// corrupt the user's database.
        case checkpointer
        /// Takes the write lock for a moment and gives it back; writes nothing.
        case writeLocker
    }

    /// The database's path.
    package let path: String
    let raw: OpaquePointer
    private let key: OpenDatabases.Key?
    private var deadline: UnsafeMutablePointer<Int64>?

    /// SQLite allocates 20 pages for each connection at its first read (pcache1.c pcache1InitBulk),
    /// unless it is told not to before its first use. Where another part of the process was faster,
    /// it goes on as it is.
    private static let isSmall = hw_config_small() == SQLITE_OK

    /// Opens an existing database. Creates nothing but what SQLite itself needs in WAL mode.
    package init(path: String, role: Role) throws(SQLiteError) {
        self.path = path
        _ = Self.isSmall
        key = OpenDatabases.opening(path)
        var handle: OpaquePointer?
        let code = sqlite3_open_v2(
            path,
            &handle,
            SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
            nil
        )
        guard code == SQLITE_OK, let handle else {
            let message = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close(handle)
            OpenDatabases.closed(key)
            throw SQLiteError(code: code, message: message, database: path)
        }
        raw = handle
        sqlite3_extended_result_codes(raw, 1)
        _ = hw_config_no_lookaside(raw)
        sqlite3_wal_autocheckpoint(raw, 0)
        let kept = hw_config_flag(raw, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        precondition(kept == SQLITE_OK, "SQLite lacks SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE")
        // Only page 1 is ever read through SQLite.
        try execute("PRAGMA cache_size=2")
        switch role {
        case .pin:
            sqlite3_busy_timeout(raw, 1000)
            try execute("PRAGMA query_only=1")
        case .checkpointer:
            try execute("PRAGMA query_only=1; PRAGMA synchronous=FULL")
            let level = try integer("PRAGMA synchronous")
            precondition(level == 2, "the checkpointer must run with synchronous=FULL")
        case .writeLocker:
            installBoundedBusyHandler()
        }
    }

    deinit {
        let code = sqlite3_close(raw)
        assert(code == SQLITE_OK, "a statement outlived its connection")
        OpenDatabases.closed(key)
        deadline?.deallocate()
    }

    /// Runs statements without results. The C function is `sqlite3_exec`.
    package func execute(_ sql: String) throws(SQLiteError) {
        let code = sqlite3_exec(raw, sql, nil, nil, nil)
        if code != SQLITE_OK { throw failure(code) }
    }

    /// The integer in the first column of the first row.
    package func integer(_ sql: String) throws(SQLiteError) -> Int64 {
        try row(sql) { sqlite3_column_int64($0, 0) }
    }

    /// The text in the first column of the first row.
    package func text(_ sql: String) throws(SQLiteError) -> String {
        try row(sql) { statement in
            sqlite3_column_text(statement, 0).map { String(cString: $0) } ?? ""
        }
    }

    private func row<T>(_ sql: String, _ read: (OpaquePointer) -> T) throws(SQLiteError) -> T {
        var statement: OpaquePointer?
        let prepared = sqlite3_prepare_v2(raw, sql, -1, &statement, nil)
        guard prepared == SQLITE_OK, let statement else { throw failure(prepared) }
        let code = sqlite3_step(statement)
        guard code == SQLITE_ROW else {
            let error = failure(code)
            sqlite3_finalize(statement)
            throw error
        }
        let value = read(statement)
        sqlite3_finalize(statement)
        return value
    }

    func failure(_ code: Int32) -> SQLiteError {
        let extended = sqlite3_extended_errcode(raw)
        return SQLiteError(
            code: extended & 0xff == code & 0xff ? extended : code,
            message: String(cString: sqlite3_errmsg(raw)),
            database: path
        )
    }

    // MARK: - Read transactions

    /// Begins a read transaction and makes it take its lock now. `PRAGMA schema_version` reads page
    /// 1's cookie inside a transaction (vdbe.c `OP_ReadCookie`) and needs no schema.
    package func beginRead() throws(SQLiteError) {
        try execute("BEGIN")
        do {
            _ = try integer("PRAGMA schema_version")
        } catch {
            _ = sqlite3_exec(raw, "ROLLBACK", nil, nil, nil)
            throw error
        }
    }

    /// Ends the transaction. Nothing was written, so that ROLLBACK cannot fail for want of space.
    package func rollback() throws(SQLiteError) { try execute("ROLLBACK") }

    // MARK: - Checkpoints

    /// What a checkpoint did.
    package enum CheckpointOutcome: Sendable, Hashable {
        /// It held the CKPT lock and did what it could.
        case done
        /// Somebody else was in the way; nothing is known.
        case busy
    }

    /// A PASSIVE checkpoint: copies what readers allow, waits for nobody. The C function is
    /// `sqlite3_wal_checkpoint_v2`. Call it only while another connection holds a pin.
    package func checkpointPassive() throws(SQLiteError) -> CheckpointOutcome {
        try checkpoint(SQLITE_CHECKPOINT_PASSIVE)
    }

    /// A TRUNCATE checkpoint. Call it only while our own pin rests on lock 0: it then resets the
    /// WAL if nothing new was committed and does nothing otherwise (DESIGN §4.2).
    package func checkpointTruncate() throws(SQLiteError) -> CheckpointOutcome {
        try checkpoint(SQLITE_CHECKPOINT_TRUNCATE)
    }

    private func checkpoint(_ mode: Int32) throws(SQLiteError) -> CheckpointOutcome {
        // A connection that has never read checkpoints nothing, silently.
        _ = try integer("PRAGMA schema_version")
        var log: Int32 = 0
        var copied: Int32 = 0
        let code = sqlite3_wal_checkpoint_v2(raw, nil, mode, &log, &copied)
        switch code & 0xff {
        case SQLITE_OK: return .done
        case SQLITE_BUSY, SQLITE_LOCKED: return .busy
        default: throw failure(code)
        }
    }

    // MARK: - The write lock

    /// Takes the write lock, trying again and again for at most `nanoseconds`: SQLite's own
    /// back-off starves behind writers that never pause. False when it did not come.
    package func beginImmediate(within nanoseconds: Int64) throws(SQLiteError) -> Bool {
        deadline!.pointee = MonotonicTime.now.nanoseconds + nanoseconds
        do {
            try execute("BEGIN IMMEDIATE")
            return true
        } catch  where error.isBusy {
            return false
        }
    }

    private func installBoundedBusyHandler() {
        let deadline = UnsafeMutablePointer<Int64>.allocate(capacity: 1)
        deadline.initialize(to: 0)
        self.deadline = deadline
        sqlite3_busy_handler(
            raw,
            { context, _ in
                let limit = context!.assumingMemoryBound(to: Int64.self).pointee
                if MonotonicTime.now.nanoseconds >= limit { return 0 }
                // A writer at full speed is without the lock for some 20 µs between transactions.
                try? Readiness.pause(nanoseconds: 10 * Nanoseconds.microsecond)
                return 1
            },
            deadline
        )
    }
}
