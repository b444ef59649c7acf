import Glibc
import Platform
import SQLiteAccess
import TestSupport
import Testing

@testable import Hazards

/// DESIGN §4.5: closing any descriptor of the database or its `-shm` drops the locks of the whole
/// process. What runs inside `replicate` must not; what the doctor does would.
@Suite(.serialized) struct LockRuleTests {
    /// A WAL database that this process has open, in a read transaction.
    private struct Scene {
        let folder = TemporaryFolder()
        let path: String
        let connection: Connection

        init() throws {
            path = folder.file("app.db")
            _ = try FileDescriptor(path: path, flags: O_RDWR | O_CREAT)
            let writer = try Connection(path: path, role: .writeLocker)
            try writer.execute("PRAGMA journal_mode=WAL; CREATE TABLE t(x)")
            try writer.execute("INSERT INTO t VALUES(1)")
            connection = try Connection(path: path, role: .pin)
            try connection.beginRead()
        }

        /// The ranges that this process holds.
        func locks() throws -> Set<LockLine> {
            let layout = try Layout.look(path)
            let inodes = [layout.database, layout.shm].compactMap { $0?.inode }
            let table = LockTable.current()
            return Set(inodes.flatMap { table.locks(inode: $0) }.filter { $0.process == getpid() })
        }
    }

    @Test func `the guards keep every lock of the process`() throws {
        let scene = try Scene()
        let before = try scene.locks()
        #expect(before.contains { $0.sharedMemoryNames.contains("DMS") })
        #expect(before.contains { $0.databaseNames == ["SHARED"] })
        let alarm = HazardAlarm()
        let start = try StartGuard(
            database: scene.path,
            localFolder: scene.folder.file(".app.db-highwater"),
            options: HazardOptions(),
            alarm: alarm,
            report: { _ in }
        )
        try start.check(scan: .now()) { false }
        #expect(!alarm.isFatal)
        #expect(try scene.locks() == before)
    }

    @Test func `the doctor's look would drop them, so it has a process of its own`() throws {
        let scene = try Scene()
        _ = try DatabaseInspection.read(try Layout.look(scene.path))
        #expect(try scene.locks().isEmpty)
    }

    @Test func `the library's version is found in the process that uses it`() {
        #expect(SQLiteVersion.used(by: getpid())?.description == SQLiteLibrary.version)
    }

    @Test func `a mounted file ends the start before any connection`() throws {
        let folder = TemporaryFolder()
        let path = folder.file("app.db")
        _ = try FileDescriptor(path: path, flags: O_RDWR | O_CREAT)
        // A hard link that somebody else has open by its other name stands for it here; mounts need
        // root, and are in Tests/Oracle/hazards.py.
        try Shell.run("sqlite3", path, "PRAGMA journal_mode=WAL; CREATE TABLE t(x)")
        try Shell.run("ln", path, folder.file("other.db"))
        let other = try Shell.Holder(folder.file("other.db"))
        let alarm = HazardAlarm()
        let start = try StartGuard(
            database: path,
            localFolder: folder.file("local"),
            options: HazardOptions(),
            alarm: alarm,
            report: { _ in }
        )
        let error = #expect(throws: HazardsError.self) {
            try start.check(scan: .now()) { false }
        }
        #expect(error?.code == .unsafe)
        #expect(error?.message.contains("-allow-hazard") == true)
        #expect(alarm.isFatal)
        var options = HazardOptions()
        options.isStartAllowed = true
        let allowed = try StartGuard(
            database: path,
            localFolder: folder.file("local"),
            options: options,
            alarm: HazardAlarm(),
            report: { _ in }
        )
        try allowed.check(scan: .now()) { false }
        other.end()
        #expect(folder.names.filter { $0.hasPrefix("app.db-") }.isEmpty)
    }
}
