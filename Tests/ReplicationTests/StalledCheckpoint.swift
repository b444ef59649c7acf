import CSQLite
import Synchronization

/// An application's connection, driven by hand.
final class ApplicationConnection {
    let handle: OpaquePointer

    init(_ path: String) throws {
        var handle: OpaquePointer?
        let code = sqlite3_open(path, &handle)
        guard code == SQLITE_OK, let handle else {
            throw SQLFailure(code: code, sql: "open \(path)")
        }
        self.handle = handle
        try run("PRAGMA wal_autocheckpoint=0")
    }

    deinit { sqlite3_close(handle) }

    func run(_ sql: String) throws {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        if code != SQLITE_OK { throw SQLFailure(code: code, sql: sql) }
    }

    /// The first column of the first row, or SQLite's message.
    func text(_ sql: String) -> String {
        var statement: OpaquePointer?
        defer { sqlite3_finalize(statement) }
        guard sqlite3_prepare_v2(handle, sql, -1, &statement, nil) == SQLITE_OK,
            sqlite3_step(statement) == SQLITE_ROW, let text = sqlite3_column_text(statement, 0)
        else { return "failed: " + String(cString: sqlite3_errmsg(handle)) }
        return String(cString: text)
    }

    /// A checkpoint; its result code.
    @discardableResult
    func checkpoint(_ mode: Int32) -> Int32 {
        sqlite3_wal_checkpoint_v2(handle, nil, mode, nil, nil)
    }
}

struct SQLFailure: Error {
    let code: Int32
    let sql: String
}

/// A connection whose next checkpoint stops after it has read the WAL-index header, and before it
/// acts on it, for as long as a closure takes: wal.c `sqlite3WalCheckpoint` calls `xUnfetch` there
/// when the header has changed since the connection last read it.
final class StalledCheckpoint {
    private let connection: ApplicationConnection
    private let methods: UnsafeMutablePointer<sqlite3_io_methods>

    /// What happens in the middle of the checkpoint that is under way.
    nonisolated(unsafe) private static var meanwhile: (() -> Void)?

    init(_ path: String) throws {
        connection = try ApplicationConnection(path)
        try connection.run("SELECT count(*) FROM sqlite_schema")
        let file = hw_database_file(connection.handle)!
        methods = .allocate(capacity: 1)
        methods.initialize(to: file.pointee.pMethods.pointee)
        methods.pointee.xUnfetch = { _, _, _ in
            let body = StalledCheckpoint.meanwhile
            StalledCheckpoint.meanwhile = nil
            body?()
            return SQLITE_OK
        }
        file.pointee.pMethods = UnsafePointer(methods)
    }

    deinit { Self.meanwhile = nil }

    /// Runs the checkpoint, and `meanwhile` in its middle. False when it never came to that point.
    func run(_ mode: Int32, meanwhile: @escaping () -> Void) -> Bool {
        Self.meanwhile = meanwhile
        connection.checkpoint(mode)
        defer { Self.meanwhile = nil }
        return Self.meanwhile == nil
    }
}
