import Glibc
import Platform
import SQLiteAccess

/// An application with a database in WAL mode, in this process. Its connection shares libsqlite3
/// with the agent's, so that neither drops the other's locks.
final class SampleApplication {
    let path: String
    private let connection: Connection

    init(path: String) throws {
        self.path = path
        let file = try FileDescriptor(path: path, flags: O_RDWR | O_CREAT, mode: 0o644)
        _ = consume file
        // The role that may write.
        connection = try Connection(path: path, role: .writeLocker)
        guard try connection.text("PRAGMA journal_mode=WAL") == "wal" else { throw NotWAL() }
        try connection.execute(
            "CREATE TABLE IF NOT EXISTS items(id INTEGER PRIMARY KEY, body TEXT)"
        )
    }

    struct NotWAL: Error {}

    /// Commits `count` times.
    func commit(_ count: Int = 1) throws {
        for number in 0..<count {
            try connection.execute(
                "INSERT INTO items(body) VALUES('\(String(repeating: "x", count: 100))\(number)')"
            )
        }
    }

    /// Copies the WAL into the database, and lets it begin anew.
    func truncateWAL() throws {
        guard try connection.integer("PRAGMA wal_checkpoint(TRUNCATE)") == 0 else { throw Busy() }
    }

    struct Busy: Error {}

    /// How many rows the database at `path` has.
    static func rows(in path: String) throws -> Int64 {
        try Connection(path: path, role: .writeLocker).integer("SELECT count(*) FROM items")
    }

    /// Tries to leave WAL mode, which needs every other connection to be gone.
    func leaveWAL() throws -> String { try connection.text("PRAGMA journal_mode=DELETE") }
}
