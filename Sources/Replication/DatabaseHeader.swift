import Bytes
import Glibc
import Platform

/// A plain look at a database's first 100 bytes, before any connection of this process exists
/// (DESIGN §4.5). Reading it later would drop the process's locks.
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
        let file = try FileDescriptor(path: path, flags: O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: 100)
        var failure: SystemError?
        let count = bytes.withUnsafeMutableBytes { buffer -> Int in
            do throws(SystemError) { return try file.read(into: buffer, at: 0) } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        guard count == 100, bytes[0..<16].elementsEqual(Array("SQLite format 3\0".utf8)) else {
            return .notADatabase
        }
        let stored = Int(bytes[16]) << 8 | Int(bytes[17])
        guard let pageSize = PageSize(stored == 1 ? 65536 : stored) else { return .notADatabase }
        return bytes[18] == 2 && bytes[19] == 2 ? .wal(pageSize) : .rollbackJournal
    }
}
