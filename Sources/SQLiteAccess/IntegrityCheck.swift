import CSQLite

/// SQLite's own checks of a database file that nobody else has open.
package enum IntegrityCheck {
    /// How much is checked.
    package enum Depth: String, Sendable, CaseIterable {
        /// `PRAGMA quick_check`: pages and rows, not whether indexes match their tables.
        case quick
        /// `PRAGMA integrity_check`: everything.
        case full
    }

    /// What is wrong with the file, at most 20 lines; nothing when it is whole.
    ///
    /// The file is opened as one that does not change, so that no `-wal` or `-shm` appears beside
    /// it. Ends early, with `SQLITE_INTERRUPT`, when the task is cancelled.
    package static func problems(
        of path: String,
        depth: Depth
    ) throws(SQLiteError) -> [String] {
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX
        let code = sqlite3_open_v2("file:\(escaped(path))?immutable=1", &handle, flags, nil)
        defer { sqlite3_close(handle) }
        guard code == SQLITE_OK, let handle else { throw failure(code, handle, path) }
        sqlite3_extended_result_codes(handle, 1)
        sqlite3_progress_handler(handle, 10_000, { _ in Task.isCancelled ? 1 : 0 }, nil)
        var statement: OpaquePointer?
        let sql = depth == .quick ? "PRAGMA quick_check(20)" : "PRAGMA integrity_check(20)"
        defer { sqlite3_finalize(statement) }
        let prepared = sqlite3_prepare_v2(handle, sql, -1, &statement, nil)
        guard prepared == SQLITE_OK else { throw failure(prepared, handle, path) }
        var lines: [String] = []
        while true {
            let step = sqlite3_step(statement)
            if step == SQLITE_DONE { break }
            guard step == SQLITE_ROW else { throw failure(step, handle, path) }
            if let text = sqlite3_column_text(statement, 0) { lines.append(String(cString: text)) }
        }
        return lines == ["ok"] ? [] : lines
    }

    private static func failure(_ code: Int32, _ handle: OpaquePointer?, _ path: String)
        -> SQLiteError
    {
        let message = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
        return SQLiteError(code: code, message: message, database: path)
    }

    /// A path inside a URI (sqlite.org/uri.html §3.1).
    private static func escaped(_ path: String) -> String {
        var text = ""
        for scalar in path.unicodeScalars {
            switch scalar {
            case "%": text += "%25"
            case "?": text += "%3f"
            case "#": text += "%23"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
