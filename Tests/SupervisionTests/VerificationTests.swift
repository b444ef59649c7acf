import BackupCatalog
import Bytes
import Configuration
import Glibc
import ObjectStorage
import Platform
import Replication
import SQLiteAccess
import Synchronization
import TestSupport
import Testing

@testable import Supervision

/// A fleet that follows a real database, stores in memory, and verifies what it has stored.
@Suite(.serialized) struct VerificationTests {
    private static let executor = ThreadExecutor(threads: 4)
    private static let replication = Result {
        try ReplicationHost(version: "test", executor: executor)
    }

    /// A fleet with one database, and what it says.
    private final class Bench: Sendable {
        let store = MemoryStore()
        let folder = TemporaryFolder()
        let lines = Mutex<[String]>([])
        let checked = Mutex<[String]>([])
        let process = ProcessFacts(version: "test", pid: 1)
        let fleet: Fleet

        /// `open` makes the store of each attempt, the agent's first, out of the one in memory.
        init(
            open: @Sendable @escaping (_ number: Int, MemoryStore) -> any ObjectStore = { $1 }
        ) throws {
            let store = store
            let count = Mutex(0)
            let log = Mutex<@Sendable (String) -> Void>({ _ in })
            let check = Mutex<@Sendable (String) -> Void>({ _ in })
            fleet = Fleet(
                FleetHost(
                    replication: try VerificationTests.replication.get(),
                    persistence: .retry,
                    log: { level, message, values in
                        let text = values.map { "\($0.0)=\($0.1)" }.joined(separator: " ")
                        log.withLock { $0 }("\(level) \(message) \(text)")
                    },
                    restore: { _, _ in },
                    checkFile: { path, executor in
                        check.withLock { $0 }(path)
                        let problems = try await executor.run {
                            try IntegrityCheck.problems(of: path, depth: .full)
                        }
                        #expect(problems.isEmpty)
                    },
                    open: { _, _, _ in
                        let number = count.withLock { count in
                            defer { count += 1 }
                            return count
                        }
                        return open(number, store)
                    }
                )
            )
            log.withLock { hook in
                hook = { [weak self] line in self?.lines.withLock { $0.append(line) } }
            }
            check.withLock { hook in
                hook = { [weak self] path in self?.checked.withLock { $0.append(path) } }
            }
        }

        var path: String { folder.file("a.db") }

        func settings(
            interval: Int64 = 10 * Nanoseconds.millisecond,
            _ level: VerifySettings.Level = .checksum
        ) throws -> DatabaseSettings {
            let place = try StoreURL.parse("file://\(folder.path)")
            let replica = ReplicaSettings(place: place, line: 1)
            var settings = DatabaseSettings(place: .file(path), line: 1, replicas: [replica])
            settings.verify.interval = interval
            settings.verify.level = level
            return settings
        }

        var replica: FleetReport.Replica? {
            (try? fleet.report(process: process))?.databases.first?.replicas.first
        }

        /// The metrics about verification.
        var metrics: [String] {
            String(decoding: fleet.metrics(process), as: UTF8.self).split(separator: "\n")
                .map(String.init).filter { $0.hasPrefix("highwater_verify_") }
        }

        func runs(_ result: VerificationRecord.Result) -> UInt64 {
            fleet.samples().first?.verification?.runs[result] ?? 0
        }

        /// Until verification has come to `result` once more.
        func next(_ result: VerificationRecord.Result) async throws {
            let before = runs(result)
            try await wait { $0.runs(result) > before }
        }

        func wait(until holds: (Bench) -> Bool) async throws {
            while !holds(self) { try await Task.sleep(for: .milliseconds(5)) }
        }

        /// Runs the fleet while `body` does.
        func during(
            _ settings: DatabaseSettings,
            _ body: @Sendable @escaping (Application) async throws -> Void
        ) async throws {
            let application = try Application(path: path)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.fleet.run([settings]) }
                defer { fleet.end(shutdownTime: nil) }
                try await body(application)
            }
        }
    }

    /// Commits in this process, with the agent's libsqlite3.
    // Sendable: one task uses it.
    private final class Application: @unchecked Sendable {
        private let connection: Connection

        init(path: String) throws {
            _ = try FileDescriptor(path: path, flags: O_RDWR | O_CREAT, mode: 0o644)
            connection = try Connection(path: path, role: .writeLocker)
            #expect(try connection.text("PRAGMA journal_mode=WAL") == "wal")
            try connection.execute("CREATE TABLE t(x)")
        }

        func commit() throws { try connection.execute("INSERT INTO t VALUES(randomblob(500))") }
    }

    private static func sync(_ bench: Bench) async throws {
        let limit = MonotonicTime.now + 20 * Nanoseconds.second
        _ = try await bench.fleet.sync(bench.path, true, until: limit)
    }

    @Test(.timeLimit(.minutes(10)))
    func `damage is in status, metrics and log until it is undone`() async throws {
        let bench = try Bench()
        try await bench.during(try bench.settings()) { application in
            try await bench.next(.ok)
            #expect(bench.replica?.verifyFindings == 0)
            let verified = try #require(bench.replica?.verifiedAt)
            for _ in 0..<3 {
                try application.commit()
                try await Self.sync(bench)
            }
            let logs = bench.store.objects.keys.filter { $0.path.hasSuffix(".log") }.sorted()
            let whole = bench.store.objects[logs[1]]!
            bench.store.objects[logs[1]]![whole.count / 2] ^= 1
            try await bench.next(.doubt)
            #expect(bench.replica?.verifyFindings == 1)
            #expect(bench.replica?.status == "running")
            let labels = #"{database="\#(bench.path)",replica=""}"#
            #expect(bench.metrics.contains("highwater_verify_findings\(labels) 1"))
            let line = bench.lines.withLock { $0 }.first { $0.contains("the backup is in doubt") }
            #expect(line?.hasPrefix("error ") == true)
            #expect(line?.contains("object=\(logs[1])") == true, "\(line ?? "no line")")
            #expect(line?.contains("highwater verify file://\(bench.folder.path)") == true)
            // Replication does not care.
            try application.commit()
            try await Self.sync(bench)
            bench.store.objects[logs[1]] = whole
            try await bench.next(.ok)
            #expect(bench.replica?.verifyFindings == 0)
            #expect(try #require(bench.replica?.verifiedAt) >= verified)
            #expect(bench.metrics.contains("highwater_verify_findings\(labels) 0"))
            #expect(bench.metrics.contains { $0.hasPrefix("highwater_verify_timestamp_seconds") })
            #expect(bench.metrics.contains { $0.hasPrefix("highwater_verify_seconds") })
        }
    }

    @Test(.timeLimit(.minutes(10)))
    func `the level restore lets SQLite check the newest state, and leaves no file`() async throws {
        let bench = try Bench()
        try await bench.during(try bench.settings(.restore)) { application in
            try application.commit()
            try await bench.next(.ok)
        }
        let checked = bench.checked.withLock { $0 }
        #expect(!checked.isEmpty)
        for path in checked { #expect(try FileSystem.status(path) == nil, "\(path) is left") }
    }

    @Test(.timeLimit(.minutes(10)))
    func `a store that does not answer is no finding, and one that is empty is`() async throws {
        let bench = try Bench()
        try await bench.during(try bench.settings()) { _ in
            try await bench.next(.ok)
            bench.store.setHook { $0.operation == .list ? .before(.unreachable) : nil }
            try await bench.next(.failed)
            #expect(bench.runs(.doubt) == 0)
            #expect(bench.replica?.verifyFindings == 0)
            let said = bench.lines.withLock { $0 }.filter { $0.contains("could not be verified") }
            #expect(said.first?.hasPrefix("warning ") == true)
            bench.store.setHook(nil)
            try await bench.next(.ok)
            let objects = bench.store.objects
            bench.store.objects = [:]
            try await bench.next(.doubt)
            #expect(bench.replica?.verifyFindings == 1)
            bench.store.objects = objects
            try await bench.next(.ok)
        }
    }

    @Test(.timeLimit(.minutes(10)))
    func `a stop ends a verification at once, which is then none`() async throws {
        let hanging = StopRequest()
        let bench = try Bench { number, store in
            if number == 0 { store } else { HangingStore(store, reached: hanging) }
        }
        let began = Mutex(MonotonicTime.now)
        try await bench.during(try bench.settings()) { _ in
            await hanging.made()
            began.withLock { $0 = .now }
        }
        #expect(MonotonicTime.now - began.withLock { $0 } < 10 * Nanoseconds.second)
        for result in VerificationRecord.Result.allCases { #expect(bench.runs(result) == 0) }
        let lines = bench.lines.withLock { $0 }
        #expect(!lines.contains { $0.contains("verif") }, "\(lines)")
    }

    @Test(.timeLimit(.minutes(10)))
    func `other settings keep what is known, and none end it`() async throws {
        let bench = try Bench()
        try await bench.during(try bench.settings()) { _ in
            try await bench.next(.ok)
            try await bench.fleet.apply([try bench.settings(.list)])
            #expect(bench.replica?.verifiedAt != nil)
            try await bench.next(.ok)
            try await bench.fleet.apply([try bench.settings(interval: 0)])
            #expect(bench.replica?.verifiedAt == nil && bench.metrics.isEmpty)
        }
    }

    @Test func `when the next one should have ended`() {
        var settings = VerifySettings()
        settings.interval = 100 * Nanoseconds.second
        var record = VerificationRecord(since: Timestamp(milliseconds: 1_000_000))
        #expect(record.due(settings) == 1200)
        record.add(findings: 2, at: Timestamp(milliseconds: 1_100_000), seconds: 5)
        #expect(record.verifiedAt == nil && record.due(settings) == 1205)
        record.add(findings: 0, at: Timestamp(milliseconds: 1_150_000), seconds: 8)
        #expect(record.findings == 0 && record.due(settings) == 1358)
        record.addFailure()
        #expect(record.runs == [.ok: 1, .doubt: 1, .failed: 1])
    }
}

/// A store whose listings never come.
private struct HangingStore: ObjectStore {
    let store: MemoryStore
    let reached: StopRequest

    init(_ store: MemoryStore, reached: StopRequest) {
        self.store = store
        self.reached = reached
    }

    func list(prefix: String, after: String?, limit: Int?) async throws(StoreError) -> [ObjectInfo]
    {
        reached.request()
        await StopRequest().made()
        throw StoreError(.unreachable, .list, object: prefix, "the task was cancelled")
    }
    func get(_ key: ObjectKey, range: Range<UInt64>?) async throws(StoreError) -> [UInt8] {
        try await store.get(key, range: range)
    }
    func put(_ key: ObjectKey, body: any ObjectBody, ifAbsent: Bool) async throws(StoreError) {
        try await store.put(key, body: body, ifAbsent: ifAbsent)
    }
    func head(_ key: ObjectKey) async throws(StoreError) -> ObjectInfo? {
        try await store.head(key)
    }
    func delete(_ keys: [ObjectKey]) async throws(StoreError) { try await store.delete(keys) }
}
