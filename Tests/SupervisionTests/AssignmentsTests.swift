import Configuration
import ObjectStorage
import Testing

@testable import Supervision

@Suite struct AssignmentsTests {
    private func settings(_ text: String) throws -> [DatabaseSettings] {
        try Settings.read(Array(text.utf8), path: "h.yml", environment: nil).databases
    }

    @Test func `each replica of each database is one assignment, in the file's order`() throws {
        let all = Assignments(
            try settings(
                """
                dbs:
                  - path: /data/a.db
                    replicas: [{url: "file:///b/1"}, {url: "s3://bucket/2"}]
                  - dir: /data/many
                    sync-interval: 5s
                    replica: s3://bucket/many?region=x
                """
            )
        ) { _ in ["c.db", "sub/d.db"] }
        #expect(
            all.all.map { "\($0.database) \($0.place)" } == [
                "/data/a.db file:///b/1", "/data/a.db s3://bucket/2",
                "/data/many/c.db s3://bucket/many/c.db?region=x",
                "/data/many/sub/d.db s3://bucket/many/sub/d.db?region=x",
            ]
        )
        #expect(all.all.map(\.syncInterval) == [1, 1, 5, 5].map { $0 * 1_000_000_000 })
        #expect(all.problems.isEmpty)
    }

    @Test func `a database never goes where another one goes`() throws {
        let all = Assignments(
            try settings(
                """
                dbs:
                  - {path: /data/a.db, replica: "file:///b/many/c.db"}
                  - {dir: /data/many, replica: "file:///b/many"}
                """
            )
        ) { _ in ["c.db", "d.db"] }
        #expect(all.all.map(\.database) == ["/data/a.db", "/data/many/d.db"])
        #expect(all.problems.count == 1)
        #expect(all.problems[0].contains("'/data/many/c.db' and '/data/a.db'"))
    }

    @Test func `an entry of its own comes before the folder's`() throws {
        let all = Assignments(
            try settings(
                """
                dbs:
                  - {path: /data/c.db, sync-interval: 9s, replica: "file:///b/c.db"}
                  - {dir: /data, replica: "file:///b"}
                """
            )
        ) { _ in ["c.db"] }
        #expect(all.all.map(\.syncInterval) == [9_000_000_000])
        #expect(all.problems.isEmpty)
    }

    @Test func `a database of a folder is found by its path, there or not`() throws {
        let read = try Settings.read(
            Array(
                """
                dbs:
                  - {dir: /data, pattern: "*.db", recursive: true, replica: "file:///b"}
                  - {path: /x.db, replicas: [{url: "file:///1"}, {url: "file:///2"}]}
                """.utf8
            ),
            path: "h.yml",
            environment: nil
        )
        func places(_ path: String) -> [String] {
            Settings.places(of: path, in: read).map { "\($0.name) \($0.place)" }
        }
        #expect(places("/data/sub/a.db") == ["default file:///b/sub/a.db"])
        #expect(places("/data/a.txt") == [])
        #expect(places("/x.db") == ["replica-1 file:///1", "replica-2 file:///2"])
        #expect(places("/other.db") == [])
    }
}
