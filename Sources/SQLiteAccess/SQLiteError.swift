import CSQLite

/// A failed SQLite call.
package struct SQLiteError: Error, Hashable, CustomStringConvertible {
    /// SQLite's extended result code (sqlite.org/rescode.html).
    package let code: Int32
    /// SQLite's message, or ours.
    package let message: String
    /// The database's path.
    package let database: String

    /// A failure with an extended result code.
    package init(code: Int32, message: String, database: String) {
        self.code = code
        self.message = message
        self.database = database
    }

    /// The primary result code.
    package var primary: Int32 { code & 0xff }

    /// Another connection is in the way (`SQLITE_BUSY`, `SQLITE_LOCKED`).
    package var isBusy: Bool { primary == SQLITE_BUSY || primary == SQLITE_LOCKED }
    /// The file is not a database, or is encrypted (`SQLITE_NOTADB`).
    package var isNotADatabase: Bool { primary == SQLITE_NOTADB }
    /// What SQLite reads makes no sense (`SQLITE_CORRUPT`, `SQLITE_NOTADB`).
    package var isDamage: Bool { primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB }
    /// The file cannot be opened or written by this user.
    package var isAccessDenied: Bool {
        primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY || primary == SQLITE_PERM
            || primary == SQLITE_AUTH
    }

    package var description: String { "SQLite \(code) on '\(database)': \(message)" }
}
