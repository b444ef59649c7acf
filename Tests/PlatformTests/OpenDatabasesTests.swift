import Glibc
import Platform
import TestSupport
import Testing

@testable import SQLiteAccess

/// Looking at a database file must not drop the locks that this process holds on it.
@Suite struct OpenDatabasesTests {
    /// Whether another process gets the database for itself, which any lock of ours forbids.
    private func isTakenBySomebodyElse(_ path: String) throws -> Bool {
        let program = """
            import sqlite3, sys
            db = sqlite3.connect(sys.argv[1], timeout=0)
            try:
                db.execute('PRAGMA locking_mode=EXCLUSIVE')
                print(db.execute('PRAGMA journal_mode=DELETE').fetchone()[0])
            except sqlite3.OperationalError as error:
                print(error)
            """
        let outcome = try PythonProgram.run("python3", "-c", [program, path])
        return outcome.output == "delete\n"
    }

    private func database(in folder: TemporaryFolder) throws -> Connection {
        let path = folder.file("app.db")
        let file = try FileDescriptor(path: path, flags: O_RDWR | O_CREAT)
        _ = consume file
        let connection = try Connection(path: path, role: .writeLocker)
        #expect(try connection.text("PRAGMA journal_mode=WAL") == "wal")
        try connection.execute("CREATE TABLE t(x)")
        return connection
    }

    @Test func `a look while connections are open leaves their locks alone`() throws {
        let folder = TemporaryFolder()
        let connection = try database(in: folder)
        let bytes = try OpenDatabases.firstBytes(of: connection.path, count: 16)
        #expect(bytes == Array("SQLite format 3\0".utf8))
        #expect(try OpenDatabases.firstBytes(of: connection.path, count: 16) == bytes)
        #expect(try !isTakenBySomebodyElse(connection.path))
        _ = connection
    }

    /// What the test above would miss if it could not fail.
    @Test func `opening and closing the file plainly drops them`() throws {
        let folder = TemporaryFolder()
        let connection = try database(in: folder)
        let look = try FileDescriptor(path: connection.path, flags: O_RDONLY)
        _ = consume look
        #expect(try isTakenBySomebodyElse(connection.path))
        _ = connection
    }

    @Test func `the descriptor that was kept goes with the last connection`() throws {
        let folder = TemporaryFolder()
        let path = folder.file("app.db")
        do {
            let connection = try database(in: folder)
            _ = try OpenDatabases.firstBytes(of: path, count: 16)
            _ = connection
        }
        let open = try FileSystem.names(in: "/proc/self/fd").filter {
            (try? FileSystem.linkTarget("/proc/self/fd/\($0)")) == path
        }
        #expect(open.isEmpty)
    }
}
