import BackupCatalog
import Bytes
import Glibc
import ObjectStorage
import Platform
import Synchronization
import TestSupport
import Testing

@testable import Replication

/// Many real databases, followed by the few threads of one loop.
@Suite struct FollowerLoopTests {
    static let executor = ThreadExecutor(threads: 4)
    static let host = Result { try ReplicationHost(version: "test", executor: executor) }

    /// An agent in a task of its own.
    struct Running {
        let agent: Agent
        let task: Task<Void, any Error>

        func stop(shutdownTime: Int64? = nil) async throws {
            agent.stop.request(shutdownTime: shutdownTime)
            try await task.value
        }
    }

    static func start(
        _ path: String,
        _ destination: Destination,
        claimLookInterval: Int64 = Limits.claimLookInterval,
        maintenance: MaintenanceSettings = MaintenanceSettings()
    ) throws -> Running {
        var settings = AgentSettings(
            databasePath: path,
            destination: destination,
            stop: StopRequest(),
            host: try host.get(),
            log: { level, message, values in
                if getenv("HIGHWATER_TEST_LOG") != nil { print(level, message, values) }
            }
        )
        settings.syncInterval = 0
        settings.claimLookInterval = claimLookInterval
        settings.maintenance = maintenance
        let agent = Agent(settings)
        return Running(
            agent: agent,
            task: Task {
                do { try await agent.run() } catch {
                    agent.log(.error, "ended", [("error", "\(error)")])
                    throw error
                }
            }
        )
    }

    static func lastTXID(in store: any ObjectStore) async throws -> TXID? {
        let catalog = Catalog(store: store)
        guard let newest = try await catalog.generations().generations.last else { return nil }
        return try await catalog.tip(of: newest)?.lastTXID
    }

    /// Until the store holds this commit.
    static func wait(for txid: UInt64, in store: any ObjectStore) async throws {
        while try await lastTXID(in: store).map({ $0 < TXID(txid) }) ?? true {
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test(.timeLimit(.minutes(10))) func `one loop follows many databases`() async throws {
        let folder = TemporaryFolder()
        var databases: [(SampleApplication, MemoryStore, Running)] = []
        for number in 0..<40 {
            let application = try SampleApplication(path: folder.file("\(number).db"))
            let store = MemoryStore()
            let running = try Self.start(
                application.path,
                Destination(store: store, name: "test\(ObjectIdentifier(store).hashValue)")
            )
            databases.append((application, store, running))
        }
        // TXID 1 is the base; commits before it was taken are in it.
        for (_, store, _) in databases { try await Self.wait(for: 1, in: store) }
        for (number, (application, _, _)) in databases.enumerated() {
            try application.commit(number % 5 + 1)
        }
        for (_, _, running) in databases { running.agent.stop.request() }
        for (number, (_, store, running)) in databases.enumerated() {
            try await running.task.value
            #expect(try await Self.lastTXID(in: store) == TXID(UInt64(number % 5 + 2)))
        }
    }

    @Test(.timeLimit(.minutes(10)))
    func `several replicas of one database each get every commit`() async throws {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let stores = [MemoryStore(), MemoryStore(), MemoryStore()]
        let agents = try stores.map {
            try Self.start(
                application.path,
                Destination(store: $0, name: "test\(ObjectIdentifier($0).hashValue)")
            )
        }
        for store in stores { try await Self.wait(for: 1, in: store) }
        try application.commit(7)
        for agent in agents { try await agent.stop() }
        for store in stores { #expect(try await Self.lastTXID(in: store) == TXID(8)) }
    }

    @Test(.timeLimit(.minutes(10)))
    func `a place that fails delays no database that goes elsewhere`() async throws {
        let folder = TemporaryFolder()
        let broken = MemoryStore()
        broken.setHook { $0.operation == .put ? .before(.unreachable) : nil }
        let brokenPlace = Destination(
            store: broken,
            name: "test\(ObjectIdentifier(broken).hashValue)"
        )
        var failing: [Running] = []
        var applications: [SampleApplication] = []
        for number in 0..<Limits.startsPerPlace * 2 {
            let application = try SampleApplication(path: folder.file("broken\(number).db"))
            applications.append(application)
            failing.append(try Self.start(application.path, brokenPlace))
        }
        let healthy = try SampleApplication(path: folder.file("healthy.db"))
        let store = MemoryStore()
        let running = try Self.start(
            healthy.path,
            Destination(store: store, name: "test\(ObjectIdentifier(store).hashValue)")
        )
        try await Self.wait(for: 1, in: store)
        try healthy.commit(3)
        try await Self.wait(for: 4, in: store)
        try await running.stop()
        for agent in failing {
            agent.agent.stop.request(shutdownTime: 50 * Nanoseconds.millisecond)
        }
        for agent in failing { _ = await agent.task.result }
        _ = consume applications
    }

    @Test(.timeLimit(.minutes(10)))
    func `a stop releases the database although the store does not answer`() async throws {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let store = MemoryStore()
        let running = try Self.start(
            application.path,
            Destination(store: store, name: "test\(ObjectIdentifier(store).hashValue)")
        )
        try await Self.wait(for: 1, in: store)
        store.setHook { $0.operation == .put ? .before(.unreachable) : nil }
        try application.commit()
        let began = MonotonicTime.now
        running.agent.stop.request(shutdownTime: 200 * Nanoseconds.millisecond)
        await #expect(throws: ReplicationError.self) { try await running.task.value }
        // On an idle machine it is a quarter of a second.
        #expect(MonotonicTime.now - began < 5 * Nanoseconds.second)
        // What the agent held would keep the journal mode from being changed.
        #expect(try application.leaveWAL() == "delete")
    }

    @Test(.timeLimit(.minutes(10)))
    func `a database that is replaced gets a generation of its own`() async throws {
        let folder = TemporaryFolder()
        let first = try SampleApplication(path: folder.file("a.db"))
        let store = MemoryStore()
        let running = try Self.start(
            first.path,
            Destination(store: store, name: "test\(ObjectIdentifier(store).hashValue)")
        )
        try await Self.wait(for: 1, in: store)
        let second = try SampleApplication(path: folder.file("b.db"))
        try second.commit(4)
        for suffix in ["-wal", "-shm", ""] {
            try FileSystem.rename(second.path + suffix, to: first.path + suffix)
        }
        let catalog = Catalog(store: store)
        while try await catalog.generations().generations.count < 2 {
            try await Task.sleep(for: .milliseconds(5))
        }
        try await Self.wait(for: 1, in: store)
        try await running.stop()
        _ = consume second
    }
}

/// The gate, and the request to stop.
@Suite struct WaitingTests {
    final class Order: Sendable {
        private let state = Mutex<[Int]>([])
        var numbers: [Int] { state.withLock { $0 } }
        func append(_ number: Int) { state.withLock { $0.append(number) } }
    }

    @Test(.timeLimit(.minutes(10))) func `a gate lets tasks in by order of arrival`() async {
        let gate = TaskGate(width: 1)
        let order = Order()
        await gate.acquire()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<5 {
                group.addTask {
                    await gate.enter { order.append(number) }
                }
                while gate.waitingCount <= number { await Task.yield() }
            }
            gate.release()
        }
        #expect(order.numbers == [0, 1, 2, 3, 4])
    }

    @Test(.timeLimit(.minutes(10))) func `a stop ends a pause`() async {
        let stop = StopRequest()
        async let paused: Void = stop.pause(nanoseconds: 3600 * Nanoseconds.second)
        stop.request()
        await paused
        // A request that was made ends every pause.
        await stop.pause(nanoseconds: 3600 * Nanoseconds.second)
        #expect(stop.isRequested)
    }
}
