import BackupCatalog
import Bytes
import Maintenance
import ObjectStorage
import SegmentFormat
import TestSupport
import Testing

/// What the catalogue makes of packs, what they were made of, and how few requests it needs.
@Suite struct PackCatalogTests {
    private let time = Timestamp(milliseconds: 1_790_000_000_000)

    /// A generation with `count` log segments of one process.
    private func agent(_ store: MemoryStore, segments count: Int) async throws -> SimulatedAgent {
        var random = SeededGenerator(seed: 11)
        let agent = try await SimulatedAgent(
            GenerationRecord(
                id: GenerationID(time: time, random: 1),
                created: time,
                pageSize: SimulatedAgent.pageSize,
                parent: nil,
                file: GenerationRecord.File(name: "x", path: "/x", mode: 0o600, uid: 0, gid: 0),
                host: "a",
                highwater: "test",
                sqlite: "3",
                owner: nil
            ),
            store: store,
            pages: [[UInt8]](repeating: [UInt8](repeating: 1, count: 512), count: 3),
            txid: TXID(1),
            random: &random
        )
        try await agent.snapshot(at: time)
        for second in 1...count {
            agent.commit(
                at: Timestamp(milliseconds: time.milliseconds + Int64(second) * 1000),
                random: &random
            )
            try await agent.ship()
        }
        return agent
    }

    private func timeline(_ agent: SimulatedAgent) async throws -> Timeline {
        try await Catalog(store: agent.store).timeline(of: Generation(record: agent.record))
    }

    /// Merges the parts of the run with these places, and deletes what was merged.
    @discardableResult
    private func pack(
        _ agent: SimulatedAgent,
        _ places: Range<Int>,
        deletes: Bool = true
    ) async throws -> StoredSegment {
        let run = try #require(try await timeline(agent).current)
        let parts = run.slices[places].map(\.segment)
        let builder = PackBuilder(catalog: Catalog(store: agent.store))
        let generation = Generation(record: agent.record)
        let stored = try await builder.build(PackPlan(parts: parts), of: generation)
        if deletes { try await agent.store.delete(parts.map(\.key)) }
        return stored
    }

    private func restores(_ agent: SimulatedAgent) async throws -> Bool {
        let reader = try await ReferenceReader(Catalog(store: agent.store))
        for (txid, digest) in agent.digests {
            let state = try await reader.state(at: txid, of: agent.record.id)
            guard state.digest == digest else { return false }
        }
        return true
    }

    @Test func `a chain of packs and logs needs one LIST`() async throws {
        let agent = try await agent(MemoryStore(), segments: 60)
        for place in 0..<5 { try await pack(agent, place..<place + 10) }
        let before = agent.store.requestCount
        let timeline = try await timeline(agent)
        #expect(agent.store.requestCount == before + 1)
        #expect(timeline.runs.count == 1 && timeline.current?.slices.count == 15)
        #expect(timeline.current?.last == agent.txid && timeline.orphans.isEmpty)
        #expect(try await restores(agent))
    }

    @Test func `what is there twice costs two requests a pack, and is no fork`() async throws {
        let agent = try await agent(MemoryStore(), segments: 30)
        try await pack(agent, 2..<20, deletes: false)
        let before = agent.store.requestCount
        let timeline = try await timeline(agent)
        #expect(agent.store.requestCount == before + 3)
        #expect(timeline.duplicates.count == 18 && timeline.forks.isEmpty)
        #expect(timeline.leftovers.isEmpty && timeline.orphans.isEmpty)
        #expect(timeline.current?.slices.count == 13)
        #expect(try await restores(agent))
    }

    @Test func `packs that overlap, hold each other, or are made again`() async throws {
        let agent = try await agent(MemoryStore(), segments: 20)
        let all = try #require(try await timeline(agent).current).slices.map(\.segment)
        let builder = PackBuilder(catalog: Catalog(store: agent.store))
        for range in [0..<8, 4..<12, 0..<16, 2..<6] {
            let plan = PackPlan(parts: Array(all[range]))
            try await builder.build(plan, of: Generation(record: agent.record))
            // The same pack once more is no error.
            try await builder.build(plan, of: Generation(record: agent.record))
        }
        var timeline = try await timeline(agent)
        #expect(timeline.runs.count == 1 && timeline.current?.slices.count == 5)
        #expect(timeline.duplicates.count == 16 + 3)
        #expect(try await restores(agent))
        // Without the longest, two overlap, and the log between is cut by member.
        try await agent.store.delete(
            timeline.list.logs.filter { $0.name.kind == .pack && $0.size > 6000 }.map(\.key)
                + all[..<12].map(\.key)
        )
        timeline = try await self.timeline(agent)
        #expect(timeline.current?.last == agent.txid && timeline.forks.isEmpty)
        #expect(try await restores(agent))
    }

    @Test func `commits sent again after a kill may go on from within a pack`() async throws {
        var random = SeededGenerator(seed: 12)
        let agent = try await agent(MemoryStore(), segments: 12)
        try await agent.restart(resends: true, random: &random)
        agent.commit(at: Timestamp(milliseconds: time.milliseconds + 90_000), random: &random)
        try await agent.ship()
        let all = try await timeline(agent).list.logs.filter { $0.name.maxTXID <= TXID(13) }
        let first = Set(all.map(\.name.writer)).count == 2 ? all[0].name.writer : nil
        let parts = all.filter { $0.name.writer == first }
        #expect(parts.count == 12)
        try await PackBuilder(catalog: Catalog(store: agent.store))
            .build(PackPlan(parts: parts), of: Generation(record: agent.record))
        for deletes in [false, true] {
            if deletes { try await agent.store.delete(parts.map(\.key)) }
            let timeline = try await timeline(agent)
            #expect(timeline.forks.isEmpty && timeline.current?.last == agent.txid)
            #expect(try await restores(agent))
        }
    }

    @Test func `a writer goes on from a pack's last member`() async throws {
        var random = SeededGenerator(seed: 13)
        let agent = try await agent(MemoryStore(), segments: 6)
        try await pack(agent, 0..<6)
        let generation = Generation(record: agent.record)
        let tip = try #require(try await Catalog(store: agent.store).tip(of: generation))
        #expect(tip.link == agent.link && tip.lastTXID == agent.txid)
        try await agent.restart(resends: false, random: &random)
        agent.commit(at: Timestamp(milliseconds: time.milliseconds + 90_000), random: &random)
        try await agent.ship()
        #expect(try await timeline(agent).current?.last == agent.txid)
        // Linked to something else, it is an orphan.
        agent.link = SegmentChecksum(low: 1, high: 2)
        try await agent.restart(resends: false, random: &random)
        agent.commit(at: Timestamp(milliseconds: time.milliseconds + 95_000), random: &random)
        try await agent.ship()
        #expect(try await timeline(agent).orphans.count == 1)
    }

    @Test func `a damaged pack is set aside while what it was made of is there`() async throws {
        let agent = try await agent(MemoryStore(), segments: 12)
        let stored = try await pack(agent, 2..<10, deletes: false)
        let whole = try #require(agent.store.objects[stored.key])
        for place in [10, whole.count - 200, whole.count - 20] {
            var bytes = whole
            bytes[place] ^= 1
            agent.store.objects[stored.key] = bytes
            let timeline = try await timeline(agent)
            #expect(timeline.damaged.count == 1 && timeline.duplicates.isEmpty)
            #expect(timeline.current?.slices.count == 12 && timeline.forks.isEmpty)
            let plans = PackPlan.plans(for: timeline, now: Timestamp(milliseconds: 1 << 47))
            #expect(plans.isEmpty)
        }
    }

    @Test func `a pack is not made of what is damaged, and not believed unread`() async throws {
        let agent = try await agent(MemoryStore(), segments: 6)
        let run = try #require(try await timeline(agent).current)
        let plan = PackPlan(parts: run.slices.map(\.segment))
        let builder = PackBuilder(catalog: Catalog(store: agent.store))
        let generation = Generation(record: agent.record)
        let key = plan.parts[3].key
        let whole = try #require(agent.store.objects[key])
        agent.store.objects[key]?[200] ^= 1
        await #expect(throws: SegmentError.self) { try await builder.build(plan, of: generation) }
        agent.store.objects[key] = whole
        // A store that keeps something else than it was given.
        let pack = try Catalog(store: agent.store).layout.segment(plan.name, of: agent.record.id)
        agent.store.objects[pack] = whole
        await #expect(throws: (any Error).self) { try await builder.build(plan, of: generation) }
        agent.store.objects[pack] = nil
        try await builder.build(plan, of: generation)
        #expect(try await restores(agent))
    }

    @Test func `hours and days are packed, the current hour is not`() async throws {
        let agent = try await agent(MemoryStore(), segments: 40)
        let timeline = try await timeline(agent)
        let hour: Int64 = 3_600_000
        let later = Timestamp(milliseconds: (time.milliseconds / hour + 1) * hour)
        #expect(PackPlan.plans(for: timeline, now: time).isEmpty)
        let plans = PackPlan.plans(for: timeline, now: later)
        #expect(plans.map(\.parts.count) == [40])
        let cache = BodyCache(bytes: 1 << 20)
        for part in plans[0].parts { cache.put(part.key, agent.store.objects[part.key] ?? []) }
        let before = agent.store.bytesRead
        let builder = PackBuilder(catalog: Catalog(store: agent.store), cache: cache)
        let stored = try await builder.build(plans[0], of: Generation(record: agent.record))
        // Nothing was fetched but the pack itself, to check it.
        #expect(agent.store.bytesRead - before < stored.size + 5000 && cache.byteCount == 0)
    }

    @Test func `levels are built from the store where they halve a restore`() async throws {
        let agent = try await agent(MemoryStore(), segments: 240)
        agent.store.clockOffset = 0
        let now = Timestamp(milliseconds: time.milliseconds + 3 * 86_400_000)
        let maintainer = Maintainer(
            catalog: Catalog(store: agent.store),
            rules: RetentionRules(),
            writer: WriterTag(7),
            host: "m",
            clock: { now }
        )
        let whole = try #require(try await timeline(agent).current?.path(to: agent.txid))
        let levels = try await maintainer.levelAll()
        #expect(!levels.isEmpty && levels.allSatisfy { $0.name.kind == .level })
        let ranges = levels.map { $0.name.minTXID...$0.name.maxTXID }
        #expect(Set(ranges).count == ranges.count, "one window was stored as two levels")
        #expect(try await maintainer.levelAll().isEmpty)
        let path = try #require(try await timeline(agent).current?.path(to: agent.txid))
        #expect(path.byteCount < whole.byteCount / 2 && path.steps.count < 240 / 2)
        for level in levels { try SegmentVerifier.verify(agent.store.objects[level.key] ?? []) }
        #expect(try await restores(agent))
    }
}
