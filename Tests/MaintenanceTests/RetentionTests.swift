import BackupCatalog
import Bytes
import Maintenance
import ObjectStorage
import SegmentFormat
import TestSupport
import Testing

/// What retention deletes, keeps and says, case by case.
@Suite struct RetentionTests {
    static let day: Int64 = 86_400_000
    private let start = Timestamp(milliseconds: 1_790_000_000_000)

    private func time(_ days: Double) -> Timestamp {
        Timestamp(milliseconds: start.milliseconds + Int64(days * Double(Self.day)))
    }

    private func record(
        _ number: UInt32,
        at time: Timestamp,
        parent: GenerationRecord.Parent? = nil,
        host: String = "a"
    ) -> GenerationRecord {
        GenerationRecord(
            id: GenerationID(time: time, random: number),
            created: time,
            pageSize: SimulatedAgent.pageSize,
            parent: parent,
            file: GenerationRecord.File(name: "x", path: "/x", mode: 0o600, uid: 0, gid: 0),
            host: host,
            highwater: "test",
            sqlite: "3",
            owner: nil
        )
    }

    private func agent(
        _ record: GenerationRecord,
        _ store: MemoryStore,
        from other: SimulatedAgent? = nil,
        _ random: inout SeededGenerator
    ) async throws -> SimulatedAgent {
        try await SimulatedAgent(
            record,
            store: store,
            pages: other?.pages
                ?? [[UInt8]](repeating: [UInt8](repeating: 1, count: 512), count: 3),
            txid: record.parent?.txid ?? TXID(1),
            random: &random
        )
    }

    private func plan(
        _ store: MemoryStore,
        _ now: Timestamp,
        closed: Set<GenerationID> = []
    ) async throws -> RetentionPlan {
        let catalog = Catalog(store: store)
        return RetentionPlan(
            try await catalog.lineage(),
            layout: catalog.layout,
            rules: RetentionRules(),
            now: now,
            closed: closed
        )
    }

    private func maintainer(_ store: MemoryStore, _ now: Timestamp) -> Maintainer {
        Maintainer(
            catalog: Catalog(store: store),
            rules: RetentionRules(),
            writer: WriterTag(7),
            host: "m",
            clock: { now }
        )
    }

    /// A database that commits each quarter of a day and takes a snapshot each third day.
    private func history(days: Int) async throws -> (MemoryStore, SimulatedAgent) {
        var random = SeededGenerator(seed: 1)
        let store = MemoryStore()
        store.now = time(0)
        store.clockOffset = 0
        let agent = try await agent(record(1, at: time(0)), store, &random)
        try await agent.snapshot(at: time(0))
        for quarter in 1...days * 4 {
            let now = time(Double(quarter) / 4)
            store.now = now
            agent.commit(at: now, random: &random)
            try await agent.ship()
            if quarter % 12 == 0 { try await agent.snapshot(at: now) }
        }
        return (store, agent)
    }

    @Test func `what is older than the window goes, bases first, newest first after them`()
        async throws
    {
        let (store, agent) = try await history(days: 30)
        let plan = try await plan(store, time(30))
        let names = plan.deletions.compactMap { deletion in
            SegmentName(path: deletion.key.split(separator: "/").suffix(2).joined(separator: "/"))
        }
        // The window and the grace begin at day 22; the newest snapshot before is day 21's.
        let snapshots = names.filter { $0.kind == .snapshot }
        #expect(snapshots.count == 7 && names.prefix(7).allSatisfy { $0.kind == .snapshot })
        let logs = names.filter { $0.kind == .log }.map(\.maxTXID)
        #expect(logs.count == 84 && logs == logs.sorted(by: >))
        #expect(logs.first == TXID(1 + 84) && plan.notes.isEmpty && plan.closures.isEmpty)
        try await maintainer(store, time(30)).carryOut(plan)
        let reader = try await ReferenceReader(Catalog(store: store))
        let last = try await reader.state(at: agent.txid, of: agent.record.id)
        #expect(last.digest == agent.digest)
        #expect(try await self.plan(store, time(30)).deletions.isEmpty)
    }

    @Test func `a state that left the window stays for the grace period`() async throws {
        let (store, _) = try await history(days: 30)
        // Of the 7 days of the window day 24's snapshot is the first base from day 31 on: then the
        // ones before are needed for a day more.
        for (now, count) in [(31.5, 7), (32.5, 8)] {
            store.now = time(now)
            let deleted = try await plan(store, time(now)).deletions
            #expect(deleted.count { $0.key.hasSuffix(".snapshot") } == count, "day \(now)")
        }
    }

    @Test func `the last state stays, however old`() async throws {
        let (store, agent) = try await history(days: 10)
        store.now = time(4000)
        for _ in 0..<3 { try await maintainer(store, time(4000)).run() }
        let reader = try await ReferenceReader(Catalog(store: store))
        #expect(try await reader.state(at: agent.txid, of: agent.record.id).digest == agent.digest)
        // Three and a third days since the last snapshot, packed: a snapshot, the log after it.
        #expect(store.objects.count < 12)
    }

    @Test func `a parent stays while its child needs it, then it is closed, then deleted`()
        async throws
    {
        var random = SeededGenerator(seed: 2)
        let (store, parent) = try await history(days: 2)
        store.now = time(3)
        let origin = GenerationRecord.Parent(generation: parent.record.id, txid: parent.txid)
        let child = try await agent(
            record(2, at: time(3), parent: origin, host: "b"),
            store,
            from: parent,
            &random
        )
        child.commit(at: time(3), random: &random)
        try await child.ship()
        store.now = time(100)
        child.commit(at: time(100), random: &random)
        try await child.ship()
        #expect(try await plan(store, time(120)).closures.isEmpty)
        store.now = time(121)
        try await child.snapshot(at: time(121))
        child.commit(at: time(122), random: &random)
        try await child.ship()
        // A restore that was planned before the child had a base of its own may still be running.
        #expect(try await plan(store, time(121.5)).closures.isEmpty)
        let closing = try await plan(store, time(123))
        #expect(closing.closures == [parent.record.id])
        #expect(!closing.deletions.contains { $0.key.contains(parent.record.id.text) })
        store.now = time(123)
        try await maintainer(store, time(123)).run()
        #expect(store.objects.keys.contains { $0.path.hasSuffix("writers/0000000000000001") })
        let waiting = try await maintainer(store, time(123.5)).plan()
        #expect(waiting.closures.isEmpty && waiting.deletions.isEmpty)
        let last = try await maintainer(store, time(124.5)).plan()
        #expect(last.deletions.last?.key.hasSuffix("generation.json") == true)
        #expect(last.batches.last?.count == 1)
        try await maintainer(store, time(124.5)).carryOut(last)
        #expect(!store.objects.keys.contains { $0.path.contains(parent.record.id.text) })
        let reader = try await ReferenceReader(Catalog(store: store))
        #expect(try await reader.state(at: child.txid, of: child.record.id).digest == child.digest)
    }

    @Test func `a database that was copied keeps its last state, however long it rests`()
        async throws
    {
        var random = SeededGenerator(seed: 3)
        let (store, original) = try await history(days: 2)
        let origin = GenerationRecord.Parent(generation: original.record.id, txid: TXID(3))
        let copy = try await agent(
            record(2, at: time(3), parent: origin, host: "b"),
            store,
            from: original,
            &random
        )
        store.now = time(100)
        try await copy.snapshot(at: time(100))
        copy.commit(at: time(100), random: &random)
        try await copy.ship()
        for now in [200.0, 202, 204] {
            store.now = time(now)
            try await maintainer(store, time(now)).run()
        }
        let reader = try await ReferenceReader(Catalog(store: store))
        let last = try await reader.state(at: original.txid, of: original.record.id)
        #expect(last.digest == original.digest)
    }

    @Test func `clocks that differ stop everything`() async throws {
        let (store, _) = try await history(days: 30)
        for (offset, local) in [(Int64(200_000), 30.0), (-200_000, 30.0)] {
            store.clockOffset = offset
            let error = try await #require(throws: MaintenanceError.self) {
                try await maintainer(store, time(local)).run()
            }
            #expect(error.code == .clockDiffers)
        }
        store.clockOffset = 100_000
        #expect(try await !maintainer(store, time(30)).plan().deletions.isEmpty)
        // A store that never tells the time: nothing is older than its newest object says.
        store.clockOffset = nil
        let plan = try await maintainer(store, time(3000)).plan()
        #expect(
            plan.needs.values.allSatisfy {
                $0.allSatisfy { $0.upperBound.rawValue - $0.lowerBound.rawValue > 20 }
            }
        )
        let error = try await #require(throws: MaintenanceError.self) {
            try await maintainer(store, time(29)).run()
        }
        #expect(error.code == .clockDiffers)
    }

    @Test func `what is dated in the future is kept, and reported`() async throws {
        var random = SeededGenerator(seed: 3)
        let (store, agent) = try await history(days: 30)
        agent.commit(at: time(400), random: &random)
        try await agent.ship()
        try await agent.snapshot(at: time(400))
        let later = try await self.agent(record(9, at: time(500)), store, &random)
        try await later.snapshot(at: time(500))
        let plan = try await plan(store, time(30))
        #expect(plan.notes.count == 4 && plan.notes.allSatisfy { $0.message.contains("future") })
        #expect(plan.needs[agent.record.id]?.first?.upperBound == agent.txid)
        #expect(!plan.deletions.contains { $0.key.contains(later.record.id.text) })
    }

    @Test func `nothing is deleted while a generation cannot be read, or is forked`() async throws {
        var random = SeededGenerator(seed: 4)
        let (store, agent) = try await history(days: 30)
        let folder = "highwater-1/\(GenerationID(time: time(29), random: 5))/generation.json"
        try await store.put(ObjectKey(folder)!, bytes: Array("{".utf8))
        let damaged = try await plan(store, time(30))
        #expect(damaged.deletions.isEmpty && damaged.notes.count == 1)
        try await store.delete([ObjectKey(folder)!])
        // Another writer goes on from an older state with other commits.
        let link = agent.link
        agent.commit(at: time(30), random: &random)
        try await agent.ship()
        agent.link = link
        agent.writer = WriterTag(1)
        agent.txid = agent.txid.previous
        agent.pages[0][0] ^= 0xff
        agent.commit(at: time(30), random: &random)
        try await agent.ship()
        let forked = try await plan(store, time(30))
        #expect(forked.deletions.isEmpty)
        #expect(forked.notes.contains { $0.message.contains("forked") })
    }

    @Test func `objects of others are reported and never touched`() async throws {
        let (store, agent) = try await history(days: 30)
        let folder = "highwater-1/\(agent.record.id)/"
        let names = ["00/notes.txt", "00/0000000000000001-x.log", "README", "writers/none"]
        for name in names { try await store.put(ObjectKey(folder + name)!, bytes: [1]) }
        try await store.put(ObjectKey("elsewhere/x")!, bytes: [1])
        let plan = try await plan(store, time(3000))
        #expect(plan.notes.count == names.count)
        #expect(
            !plan.deletions.contains { deletion in names.contains { deletion.key.hasSuffix($0) } }
        )
    }
}
