import Bytes
import CSQLite
import Hazards
import Platform
import SQLiteAccess
import TestSupport
import Testing
import WALFormat

@testable import Replication

/// SQLite's WAL-reset bug (3.7.0 to 3.51.2): a checkpoint that has read the header before a reset
/// and acts after it loses commits. Here it is made to happen, and shown to be harmless while the
/// agent is attached (DESIGN §4.4).
@Suite(.serialized) struct ResetBugTests {
    /// The versions that have the mend: 3.51.3 and later, and two backports.
    private static let isAffected: Bool = {
        let number = sqlite3_libversion_number()
        return number < 3_051_003 && number != 3_050_007 && number != 3_044_006
    }()

    private static let why: Comment = "this libsqlite3 has no WAL-reset bug to be shown"

    /// A database with 61 rows, most of them in the WAL.
    private struct Scene {
        let folder = TemporaryFolder()
        let path: String
        let writer: ApplicationConnection
        let stalled: StalledCheckpoint
        private(set) var rows = 0

        init() throws {
            path = folder.file("app.db")
            writer = try ApplicationConnection(path)
            try writer.run("PRAGMA journal_mode=WAL")
            try writer.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
            stalled = try StalledCheckpoint(path)
            for _ in 0..<60 { try insert() }
        }

        mutating func insert() throws {
            try writer.run("INSERT INTO t(x) VALUES(randomblob(9000))")
            rows += 1
        }

        /// What a new connection of the application finds wrong; nil when it finds all rows.
        func damage() throws -> String? {
            let reader = try ApplicationConnection(path)
            let count = reader.text("SELECT count(*) FROM t")
            let check = reader.text("PRAGMA integrity_check(1)")
            return count == "\(rows)" && check == "ok" ? nil : "\(count) rows of \(rows), \(check)"
        }
    }

    @Test(.enabled(if: isAffected, why))
    func `without the agent a stalled checkpoint destroys commits`() throws {
        var scene = try Scene()
        scene.writer.checkpoint(SQLITE_CHECKPOINT_PASSIVE)
        let wasStalled = scene.stalled.run(SQLITE_CHECKPOINT_PASSIVE) { try! scene.insert() }
        #expect(wasStalled)
        #expect(try scene.damage() != nil, "the reproduction does not reproduce anything")
    }

    @Test(.enabled(if: isAffected, why))
    func `the guards see that the bug has fired`() throws {
        var scene = try Scene()
        scene.writer.checkpoint(SQLITE_CHECKPOINT_PASSIVE)
        _ = scene.stalled.run(SQLITE_CHECKPOINT_PASSIVE) { try! scene.insert() }
        let connection = try Connection(path: scene.path, role: .pin)
        try connection.beginRead()
        let index = try WALIndex(connection)
        var sample = IndexSample(header: index.header(), isStable: true)
        sample.checkpoint = index.checkpointInfo()
        #expect(InvariantGuard.violation(in: sample) == .backfillBeyondEnd)
        try connection.rollback()
    }

    @Test(.enabled(if: isAffected, why))
    func `stepping from lock 0 to a mark while a checkpoint is stalled re-opens the bug`() throws {
        var scene = try Scene()
        let first = try ApplicationConnection(scene.path)
        let second = try ApplicationConnection(scene.path)
        scene.writer.checkpoint(SQLITE_CHECKPOINT_PASSIVE)
        try first.run("BEGIN; SELECT count(*) FROM t")  // on lock 0
        _ = scene.stalled.run(SQLITE_CHECKPOINT_PASSIVE) {
            try! scene.insert()
            try! second.run("BEGIN; SELECT count(*) FROM t")  // on a mark
            try! first.run("ROLLBACK")
        }
        #expect(try scene.damage() != nil, "the step without a handshake should have done harm")
    }

    /// Where the agent's pin rests when the checkpoint stalls.
    enum Place: CaseIterable {
        case mark
        case lockZero
    }

    @Test(arguments: Place.allCases, [SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL])
    func `with the agent attached a stalled checkpoint does no harm`(
        _ place: Place,
        _ mode: Int32
    ) async throws {
        var scene = try Scene()
        let agent = try SteppedAgent(path: scene.path)
        defer { agent.end() }
        try scene.insert()
        try agent.settle()
        switch place {
        case .mark: #expect(agent.follower.pins.rules.older.point.frame > 0)
        case .lockZero:
            // Once everything is in the file, the next pin of the agent's rests on lock 0.
            for _ in 0..<3 {
                scene.writer.checkpoint(SQLITE_CHECKPOINT_PASSIVE)
                try agent.settle()
            }
            #expect(!agent.follower.pins.rules.older.isOnMark)
        }
        // The writer holds WRITE in its middle, so that FULL falls back to PASSIVE (the sixth
        // variant in which the bug was reproduced).
        if mode == SQLITE_CHECKPOINT_FULL { try scene.writer.run("BEGIN IMMEDIATE") }
        var stepped = 0
        _ = scene.stalled.run(mode) {
            try! scene.insert()
            if mode == SQLITE_CHECKPOINT_FULL { try! scene.writer.run("COMMIT") }
            // All that the agent can do, it does now: copy, make safe, move its pins.
            stepped = try! agent.step(times: 50)
        }
        if mode == SQLITE_CHECKPOINT_FULL { _ = try? scene.writer.run("COMMIT") }
        for _ in 0..<20 { try scene.insert() }
        try agent.settle()
        #expect(try scene.damage() == nil, "after \(stepped) steps of the agent inside the stall")
        for _ in 0..<60 { try scene.insert() }
        scene.writer.checkpoint(SQLITE_CHECKPOINT_PASSIVE)
        try agent.settle()
        #expect(try scene.damage() == nil)
        #expect(agent.follower.statistics.commits == UInt64(scene.rows - 60))
    }
}
