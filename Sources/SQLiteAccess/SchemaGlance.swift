import CSQLite

/// A look at the names in a database's schema that takes no lock, opens no `-wal` or `-shm` and
/// writes nothing: `immutable=1` (sqlite.org/uri.html).
///
/// It may see a state between two checkpoints, so it is good for hints only. It opens and closes
/// the database file, which drops the locks that the process holds on it: never call this in a
/// process that has a connection to the same database (DESIGN §4.5).
package enum SchemaGlance {
    /// The names of the tables that begin with a prefix; nil when the schema cannot be read.
    package static func tables(of path: String, withPrefix prefix: String) -> [String]? {
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX
        let opened = sqlite3_open_v2("file:\(escaped(path))?immutable=1", &handle, flags, nil)
        defer { sqlite3_close(handle) }
        guard opened == SQLITE_OK, let handle else { return nil }
        var statement: OpaquePointer?
        let sql = "SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name"
        guard sqlite3_prepare_v2(handle, sql, -1, &statement, nil) == SQLITE_OK else { return nil }
        defer { sqlite3_finalize(statement) }
        var names: [String] = []
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW:
                let name = sqlite3_column_text(statement, 0).map { String(cString: $0) } ?? ""
                if name.hasPrefix(prefix) { names.append(name) }
            case SQLITE_DONE: return names
            default: return nil
            }
        }
    }

    private static func escaped(_ path: String) -> String {
        path.utf8.reduce(into: "") { text, byte in
            let isPlain =
                (97...122).contains(byte) || (65...90).contains(byte) || (47...57).contains(byte)
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
                || byte == UInt8(ascii: "_")
            if isPlain {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
    }
}
