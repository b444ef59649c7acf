import Platform
import SQLiteAccess
import TestSupport
import Testing

/// What our connections must not do to a database that is not ours (DESIGN §4.5).
@Suite struct QuietConnectionTests {
    @Test func `the last one of them to be closed leaves the WAL as it is`() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.db")
        do {
            let application = try SampleApplication(path: path)
            try application.commit(3)
        }
        let before = try #require(try FileSystem.status(path + "-wal"))
        #expect(before.size > 3 * 4096)
        for role in [Connection.Role.pin, .checkpointer, .writeLocker] {
            let connection = try Connection(path: path, role: role)
            #expect(try connection.integer("SELECT count(*) FROM items") == 3)
        }
        let after = try #require(try FileSystem.status(path + "-wal"))
        #expect(after.size == before.size && after.inode == before.inode)
    }
}
