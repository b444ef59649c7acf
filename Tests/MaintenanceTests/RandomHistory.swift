import BackupCatalog
import Bytes
import Maintenance
import ObjectStorage
import SegmentFormat
import TestSupport
import Testing

/// A random life of one or more databases in one store: commits, restarts, children, holes,
/// snapshots, packs, levels. Knows which states have to be restorable.
struct RandomHistory {
    static let minute: Int64 = 60_000
    static let rules = RetentionRules(
        window: 180 * minute,
        grace: 20 * minute,
        packGrace: 10 * minute
    )

    let store = MemoryStore()
    var catalog: Catalog { Catalog(store: store) }
    private(set) var agents: [SimulatedAgent] = []
    private(set) var now = Timestamp(milliseconds: 1_800_000_000_000)
    /// When the generation's last state was replaced by another generation's first.
    private var ends: [GenerationID: Timestamp] = [:]
    private var current = 0
    private var random: SeededGenerator
    private var counter: UInt32 = 0

    init(seed: UInt64, steps: Int) async throws {
        random = SeededGenerator(seed: seed)
        store.now = now
        store.clockOffset = 0
        try await begin(parent: nil, host: "a")
        for _ in 0..<steps { try await step() }
        let agent = agents[current]
        try await agent.ship()
    }

    /// What maintains the store at some moment.
    func maintainer(clock: Timestamp) -> Maintainer {
        Maintainer(
            catalog: catalog,
            rules: Self.rules,
            writer: WriterTag(7),
            host: "m",
            clock: { clock }
        )
    }

    private mutating func advance(_ milliseconds: Int64) {
        now.milliseconds += milliseconds
        store.now = now
    }

    private mutating func begin(
        parent: (agent: SimulatedAgent, txid: TXID)?,
        host: String
    ) async throws {
        counter += 1
        advance(1)
        let record = GenerationRecord(
            id: GenerationID(time: now, random: counter),
            created: now,
            pageSize: SimulatedAgent.pageSize,
            parent: parent.map {
                GenerationRecord.Parent(generation: $0.agent.record.id, txid: $0.txid)
            },
            file: GenerationRecord.File(
                name: "app.db",
                path: "/srv/app.db",
                mode: 0o644,
                uid: 0,
                gid: 0
            ),
            host: host,
            highwater: "test",
            sqlite: "3",
            owner: nil
        )
        let pages = (0..<4).map { _ in
            (0..<512).map { _ in UInt8.random(in: 0...3, using: &random) }
        }
        let agent = try await SimulatedAgent(
            record,
            store: store,
            pages: parent.flatMap { $0.agent.states[$0.txid] } ?? pages,
            txid: parent?.txid ?? TXID(random.next() % 50),
            random: &random
        )
        if parent == nil { try await agent.snapshot(at: now) }
        // What comes next begins, as an agent's does, with a commit.
        advance(Self.minute)
        agent.commit(at: now, random: &random)
        try await agent.ship()
        for old in agents where old.record.host == host || old === parent?.agent {
            ends[old.record.id] = min(ends[old.record.id] ?? record.created, record.created)
        }
        agents.append(agent)
        current = agents.count - 1
    }

    private mutating func step() async throws {
        advance(Int64.random(in: 1...20, using: &random) * Self.minute)
        let agent = agents[current]
        switch Int.random(in: 0..<40, using: &random) {
        case 0...21:
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                advance(Int64.random(in: 1...30_000, using: &random))
                agent.commit(at: now, random: &random)
            }
            try await agent.ship()
        case 22...23: try await agent.snapshot(at: now)
        case 24...25: try await agent.restart(resends: false, random: &random)
        case 26: try await agent.restart(resends: true, random: &random)
        case 27, 28: try await begin(parent: (agent, agent.txid), host: agent.record.host)
        case 29: try await begin(parent: (agent, agent.txid), host: "host\(counter)")
        case 30:
            let past = agent.digests.keys.filter {
                $0.rawValue + 4 > agent.txid.rawValue && !agent.lost.contains($0)
            }.min()
            try await begin(parent: (agent, past ?? agent.txid), host: agent.record.host)
        case 31: try await begin(parent: nil, host: agent.record.host)
        case 32: try await loseSegment(agent)
        case 33...36: try await pack()
        default: try await level()
        }
    }

    /// A segment never arrives; later a new snapshot bridges the gap.
    private mutating func loseSegment(_ agent: SimulatedAgent) async throws {
        agent.commit(at: now, random: &random)
        agent.lost.insert(agent.txid)
        try await agent.ship(loses: true)
        advance(Self.minute)
        agent.commit(at: now, random: &random)
        agent.lost.insert(agent.txid)
        try await agent.ship()
        try await agent.snapshot(at: now)
        agent.lost.remove(agent.txid)
    }

    /// Merges a random stretch of some generation's log.
    private mutating func pack() async throws {
        guard let agent = agents.randomElement(using: &random) else { return }
        let generation = Generation(record: agent.record)
        let timeline = try await catalog.timeline(of: generation)
        guard timeline.forks.isEmpty, let run = timeline.runs.randomElement(using: &random),
            run.slices.count > 1
        else { return }
        let first = Int.random(in: 0..<run.slices.count - 1, using: &random)
        let last = Int.random(in: first + 1..<run.slices.count, using: &random)
        let parts = run.slices[first...last]
        let areWhole = parts.allSatisfy {
            $0.txids == $0.segment.name.minTXID...$0.segment.name.maxTXID
        }
        guard areWhole else { return }
        let plan = PackPlan(parts: parts.map(\.segment))
        try await PackBuilder(catalog: catalog).build(plan, of: generation)
    }

    private mutating func level() async throws {
        guard let agent = agents.randomElement(using: &random) else { return }
        let timeline = try await catalog.timeline(of: Generation(record: agent.record))
        guard timeline.forks.isEmpty, let run = timeline.runs.randomElement(using: &random),
            !run.beginsWithParent, run.last > run.first
        else { return }
        let start = UInt64.random(in: run.first.rawValue..<run.last.rawValue, using: &random)
        let end = UInt64.random(in: start + 1...run.last.rawValue, using: &random)
        let builder = StoredLevelBuilder(
            catalog: catalog,
            timeline: timeline,
            writer: WriterTag(random.next())
        )
        _ = try await builder.build(
            level: UInt8.random(in: 1...3, using: &random),
            after: TXID(start),
            through: TXID(end)
        )
    }

    // MARK: - The truth

    /// States that were current within the window, or are now: by the agents' own records.
    func required(at now: Timestamp) -> [(agent: SimulatedAgent, txid: TXID)] {
        var result: [(SimulatedAgent, TXID)] = []
        for agent in agents {
            let txids = agent.times.keys.sorted()
            for (index, txid) in txids.enumerated() where !agent.lost.contains(txid) {
                let until =
                    index + 1 < txids.count
                    ? agent.times[txids[index + 1]] : ends[agent.record.id]
                let isFirst = index == 0 && agent.record.parent != nil
                if isFirst { continue }  // The parent's state.
                let isCurrent = until.map { $0.milliseconds > now.milliseconds - window } ?? true
                if isCurrent { result.append((agent, txid)) }
            }
        }
        return result
    }

    private var window: Int64 { Self.rules.window }
}
