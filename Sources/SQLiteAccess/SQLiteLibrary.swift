import CSQLite

/// The libsqlite3 that this process runs on.
package enum SQLiteLibrary {
    /// Its version, as in "3.40.1".
    package static var version: String { String(cString: sqlite3_libversion()) }
}
