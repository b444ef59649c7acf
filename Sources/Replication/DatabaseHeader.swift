import Bytes
import Glibc
import Platform
import SQLiteAccess

/// A look at a database's first 100 bytes before it is attached to (DESIGN §4.5).
enum DatabaseHeader {
    /// What the file is.
    enum Finding: Hashable {
        /// Not there, or empty: the application has not created it yet.
        case missing
        /// A database in WAL mode.
        case wal(PageSize)
        /// A database in a rollback-journal mode.
        case rollbackJournal
        /// Something else, or encrypted.
        case notADatabase
    }

    /// Looks at the file (sqlite.org/fileformat.html §1.3).
    static func look(_ path: String) throws(SystemError) -> Finding {
        guard let status = try FileSystem.status(path) else { return .missing }
        // A FIFO or a device has no size, and is nothing to wait for.
        guard status.isRegularFile else { return .notADatabase }
        guard status.size > 0 else { return .missing }
        let bytes = try OpenDatabases.firstBytes(of: path, count: 100)
        guard bytes.count == 100, bytes[0..<16].elementsEqual(Array("SQLite format 3\0".utf8))
        else {
            return .notADatabase
        }
        let stored = Int(bytes[16]) << 8 | Int(bytes[17])
        guard let pageSize = PageSize(stored == 1 ? 65536 : stored) else { return .notADatabase }
        return bytes[18] == 2 && bytes[19] == 2 ? .wal(pageSize) : .rollbackJournal
    }
}
