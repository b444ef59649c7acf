import Bytes
import CSQLite
import Platform
import SQLiteAccess
import TestSupport
import Testing
import WALFormat

/// DESIGN §4.2: a TRUNCATE of ours while our own pin rests on lock 0 resets the WAL when nothing
/// new was committed, and does nothing otherwise.
@Suite struct OwnTruncateTests {
    /// A database whose WAL is backfilled, with our pin on lock 0.
    private struct Scene {
        let folder = TemporaryFolder()
        let application: ApplicationConnection
        let checkpointer: Connection
        let index: WALIndex
        private let pin: Connection

        init() throws {
            let path = folder.file("app.db")
            application = try ApplicationConnection(path)
            try application.run("PRAGMA journal_mode=WAL")
            try application.run("CREATE TABLE t(x)")
            for _ in 0..<50 { try application.run("INSERT INTO t VALUES(randomblob(3000))") }
            checkpointer = try Connection(path: path, role: .checkpointer)
            pin = try Connection(path: path, role: .pin)
            _ = try pin.integer("PRAGMA schema_version")
            index = try WALIndex(pin)
            #expect(try checkpointer.checkpointPassive() == .done)
            #expect(index.checkpointInfo()?.nBackfill == index.header()?.mxFrame)
            try pin.beginRead()
        }

        var walSize: Int64 {
            get throws { try FileSystem.status(folder.file("app.db-wal"))?.size ?? -1 }
        }

        func expectRows(_ count: Int) {
            #expect(application.text("SELECT count(*) FROM t") == "\(count)")
            #expect(application.text("PRAGMA integrity_check") == "ok")
        }
    }

    @Test func `it resets the WAL of a quiet application`() throws {
        let scene = try Scene()
        let before = try #require(scene.index.header())
        #expect(try scene.checkpointer.checkpointTruncate() == .done)
        let after = try #require(scene.index.header())
        #expect(after.mxFrame == 0 && after.salts != before.salts)
        #expect(try scene.walSize == 0)
        scene.expectRows(50)
    }

    @Test func `it does nothing when a commit slipped in`() throws {
        let scene = try Scene()
        try scene.application.run("INSERT INTO t VALUES('slipped in')")
        let before = try #require(scene.index.header())
        #expect(before.mxFrame > 0)
        #expect(try scene.checkpointer.checkpointTruncate() == .busy)
        #expect(scene.index.header() == before)
        #expect(scene.index.checkpointInfo()?.nBackfill == 0, "lock 0 forbids to backfill")
        scene.expectRows(51)
    }

    @Test func `it does nothing while somebody writes`() throws {
        let scene = try Scene()
        try scene.application.run("BEGIN IMMEDIATE")
        let before = try #require(scene.index.header())
        #expect(try scene.checkpointer.checkpointTruncate() == .busy)
        #expect(scene.index.header() == before)
        try scene.application.run("INSERT INTO t VALUES('open'); COMMIT")
        scene.expectRows(51)
    }
}
