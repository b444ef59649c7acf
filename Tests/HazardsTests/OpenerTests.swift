import Bytes
import Glibc
import Platform
import TestSupport
import Testing

@testable import Hazards

@Suite struct OpenerTests {
    static let locks = """
        1: FLOCK  ADVISORY  WRITE 12937 fe:00:16262659 0 EOF
        2: POSIX  ADVISORY  READ 12937 fe:00:700 128 128
        3: POSIX  ADVISORY  READ 12937 fe:00:500 1073741826 1073742335
        4: POSIX  ADVISORY  READ 12935 fe:00:700 123 124
        5: POSIX  ADVISORY  WRITE 9625 fe:00:500 1073741824 1073742335
        5: -> POSIX  ADVISORY  WRITE 77 fe:00:500 120 120
        6: OFDLCK ADVISORY  WRITE -1 00:2a:9 0 0
        nonsense
        """

    @Test func `the kernel's table of locks is read`() {
        let table = LockTable(parsing: Self.locks)
        #expect(table.lines.count == 6)
        #expect(table.locks(inode: 700).map(\.sharedMemoryNames) == [["DMS"], ["READ0", "READ1"]])
        let names = table.locks(inode: 500).map(\.databaseNames)
        #expect(names == [["SHARED"], ["PENDING", "RESERVED", "EXCLUSIVE"]])
        #expect(table.locks(inode: 9).isEmpty)
    }

    private func layout() throws -> (Layout, TemporaryFolder) {
        let folder = TemporaryFolder()
        for name in ["app.db", "app.db-wal", "app.db-shm"] {
            _ = try FileDescriptor(path: folder.file(name), flags: O_WRONLY | O_CREAT)
        }
        return (try Layout.look(folder.file("app.db")), folder)
    }

    private func file(_ status: FileStatus?, _ path: String) throws -> OpenFile {
        let status = try #require(status)
        return OpenFile(
            path: path,
            device: status.device,
            inode: status.inode,
            size: status.size,
            isDeleted: false
        )
    }

    private func opener(_ layout: Layout) throws -> Opener {
        var opener = Opener(process: 7, name: "app")
        opener.databases = [try file(layout.database, layout.path)]
        opener.wals = [try file(layout.wal, layout.path + "-wal")]
        opener.shms = [try file(layout.shm, layout.path + "-shm")]
        opener.locks = ["SHARED", "DMS"]
        return opener
    }

    private func findings(_ layout: Layout, _ opener: Opener) -> [Finding] {
        OpenerRules.findings(layout, Openers(processes: [opener], isComplete: true))
    }

    @Test func `an opener with the same files and its locks is fine`() throws {
        let (layout, folder) = try layout()
        #expect(findings(layout, try opener(layout)).verdict == .ok)
        _ = folder
    }

    @Test func `another WAL for the same database is fatal`() throws {
        let (layout, folder) = try layout()
        var other = try opener(layout)
        other.databases[0].path = "/data/other.db"
        other.wals[0].path = "/data/other.db-wal"
        other.wals[0].inode += 1
        #expect(findings(layout, other).first { $0.code == .otherWAL }?.verdict == .fatal)
        var ours = layout
        ours.wal = nil
        let without = findings(ours, try opener(layout))
        #expect(without.first { $0.code == .otherWAL }?.verdict == .fatal)
        _ = folder
    }

    @Test func `a replaced file is fatal, in another container high`() throws {
        let (layout, folder) = try layout()
        var other = try opener(layout)
        other.databases[0].isDeleted = true
        other.databases[0].inode += 1
        #expect(findings(layout, other).first { $0.code == .replacedFile }?.verdict == .fatal)
        other.sharesMounts = false
        #expect(findings(layout, other).first { $0.code == .replacedFile }?.verdict == .high)
        other.databases[0].path = "/elsewhere/app.db"
        #expect(!findings(layout, other).contains { $0.code == .replacedFile })
        _ = folder
    }

    @Test func `the same inode on another device is another superblock`() throws {
        let (layout, folder) = try layout()
        var other = try opener(layout)
        other.databases[0].device += 1
        other.wals[0].device += 1
        other.shms[0].device += 1
        #expect(findings(layout, other).first { $0.code == .otherSuperblock }?.verdict == .fatal)
        // The server of a FUSE mount has the files behind it open, and no locks.
        other.locks = []
        #expect(findings(layout, other).verdict == .ok)
        _ = folder
    }

    @Test func `an opener without the lock that all have is high`() throws {
        let (layout, folder) = try layout()
        var other = try opener(layout)
        other.locks = ["SHARED"]
        #expect(findings(layout, other).first { $0.code == .missingLocks }?.verdict == .high)
        _ = folder
    }

    @Test func `Litestream beside it is a warning`() throws {
        let (layout, folder) = try layout()
        var other = try opener(layout)
        other.name = "litestream"
        #expect(findings(layout, other).first { $0.code == .otherAgent }?.verdict == .warn)
        _ = folder
    }

    @Test func `versions are compared with the fixes of the reset bug`() {
        for (text, isAffected) in [
            ("3.6.23", false), ("3.7.0", true), ("3.40.1", true), ("3.44.5", true),
            ("3.44.6", false), ("3.45.0", true), ("3.50.6", true), ("3.50.7", false),
            ("3.51.2", true), ("3.51.3", false), ("3.53.4", false),
        ] {
            #expect(SQLiteVersion(text: text)?.hasWALResetBug == isAffected, "\(text)")
        }
        #expect(SQLiteVersion(number: 3_040_001)?.description == "3.40.1")
        #expect(SQLiteVersion(number: 0) == nil)
        #expect(SQLiteVersion(text: "x.y") == nil)
    }

    @Test func `libraries are found in a process's maps`() {
        let maps = """
            7f00-7f01 r-xp 0 fe:00 1  /usr/lib/python3.11/lib-dynload/_sqlite3.cpython-311.so
            7f02-7f03 r-xp 0 fe:00 2  /usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6
            7f04-7f05 rw-s 0 fe:00 3  /data/my sqlite.db-shm
            7f06-7f07 rw-p 0 00:00 0  [heap]
            """
        #expect(
            SQLiteVersion.libraries(in: maps) == [
                "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6",
                "/usr/lib/python3.11/lib-dynload/_sqlite3.cpython-311.so",
            ]
        )
        #expect(SQLiteVersion.ofProgram("/bin/true") == nil)
        #expect(SQLiteVersion.ofProgram("/etc/passwd") == nil)
    }
}
