import BackupCatalog
import Bytes
import Glibc
import Maintenance
import Platform
import TestSupport
import WALFormat

@testable import Replication

/// A database of a history, with the application that writes it and the agent that backs it up.
final class SimulatedDatabase {
    let name: String
    let path: String
    var isApplicationRunning = false
    var agent: SimulatedAgent?
    /// The state after the last commit.
    var state: String?
    var salts: WALSalts?
    /// Commits may be missing in the WAL since the agent followed it last, and why.
    var gap: String?
    /// SQLite's recovery may make a state of its own (stepped.py, `mixes`).
    var mayMix = false
    /// The agent has copied everything there was since it attached.
    var hasCaughtUp = false
    /// Nothing can happen to the WAL behind the agent's back.
    var isFollowed: Bool { hasCaughtUp && agent?.follower != nil }

    init(name: String, path: String) {
        self.name = name
        self.path = path
    }
}

/// One history: what a seed makes of applications, agents, store, clocks and accidents.
final class History: AgentObserver {
    let seed: UInt64
    let world: World
    let bucket = Bucket()
    let folder: TemporaryFolder
    let applications: Applications
    let habits: Habits
    var databases: [SimulatedDatabase] = []
    var truth = Truth()
    var counts = Counts()
    var isEnding = false

    struct Counts {
        var commits = 0
        var restores = 0
        var accidents = 0
        var judgements = 0
        var kills = 0
        var powerCuts = 0
        var mixtures = 0
        var forks = 0
        var bridges = 0
        var unprovable = 0
        var generations = 0
        var levels = 0
        var requests = 0
        var faults = 0
    }

    init(seed: UInt64, applications: Applications) {
        self.seed = seed
        self.applications = applications
        world = World(seed: seed &* 0x2545_f491_4f6c_dd1d)
        folder = TemporaryFolder()
        habits = Habits(&world.dice)
        bucket.faults = habits.faults
    }

    /// Lets the history happen. Nil when everything is as it should be, else what is not.
    func run() -> [String] {
        Simulation.$surroundings.withValue(world) {
            world.note("seed \(seed): \(habits)")
            let first = SimulatedDatabase(name: "a", path: folder.file("a.db"))
            databases.append(first)
            startApplication(first)
            world.interruptionShare = habits.interruptionShare
            world.interruption = { [unowned self] in
                if let database = databases.first { act(database) }
            }
            startAgent(first)
            scheduleApplication(first)
            scheduleAccident()
            let end = habits.actions
            while counts.commits < end, counts.accidents < end / 2, world.violations.isEmpty,
                counts.mixtures == 0, world.step()
            {}
            if world.violations.isEmpty, counts.mixtures == 0 { finish() }
            for database in databases {
                database.agent?.kill()
                if database.isApplicationRunning { _ = ask(database, "kill") }
            }
        }
        world.executor.drain()
        if world.violations.isEmpty { judge(final: true) }
        // A task that waits for what never comes any more may hold this history for ever.
        folder.remove()
        return world.violations
    }

    // MARK: - The application

    func ask(_ database: SimulatedDatabase, _ line: String) -> String {
        let answer = applications.ask("\(database.name) \(line)")
        if answer.hasPrefix("failed") { world.violation("application: \(line): \(answer)") }
        return answer
    }

    func startApplication(_ database: SimulatedDatabase, after cut: Bool = false) {
        let line = "start \(database.path) \(world.dice.next() >> 1) \(habits.options)"
        // Checkpoints of the agent's may have gone on since the application died.
        if !database.isFollowed, habits.hasUncheckedFrames, !database.mayMix {
            database.mayMix = applications.ask("mixes \(database.path)") == "yes"
        }
        // A mixture of states may be malformed.
        let answer =
            database.mayMix
            ? applications.ask("\(database.name) \(line)") : ask(database, line)
        database.isApplicationRunning = true
        let state = String(answer.split(separator: " ").dropFirst().first ?? "")
        let mayFallBack = cut || habits.hasUncheckedFrames
        if let old = database.state, old != state {
            if !mayFallBack {
                world.violation("the application finds another state than it committed last")
            }
            database.gap = "SQLite recovered an earlier state"
        }
        if database.mayMix {
            // Often it is malformed, or the file has pages beyond the end that its header says:
            // what comes after is nobody's promise.
            world.note("SQLite's recovery may have mixed two states, the history ends")
            counts.mixtures += 1
        } else if mayFallBack, database.state != nil, truth.states[state] == nil {
            world.violation("after a crash the database has a state that never was")
        }
        database.mayMix = false
        if database.state == nil { truth.commit(from: nil, to: state) }
        database.state = state
        world.note("application \(database.name) starts, state \(truth.states[state] ?? -1)")
        lookAtWAL(database)
    }

    private func scheduleApplication(_ database: SimulatedDatabase) {
        world.schedule(after: habits.pause(&world.dice)) { [unowned self] in
            act(database)
            if !isEnding { scheduleApplication(database) }
        }
    }

    /// One action of the application.
    func act(_ database: SimulatedDatabase) {
        guard database.isApplicationRunning else { return }
        let line = isEnding ? "rollback" : habits.action(&world.dice)
        let answer = ask(database, line)
        let words = answer.split(separator: " ")
        if words.first == "state" {
            let state = String(words[1])
            if state != database.state {
                truth.commit(from: database.state, to: state)
                database.state = state
            }
            counts.commits += 1
            world.note("\(database.name): \(line): state \(truth.states[state] ?? -1)")
        } else {
            world.note("\(database.name): \(line): \(answer)")
        }
        lookAtWAL(database)
        if answer == "done", line.hasSuffix("restart") || line.hasSuffix("truncate"),
            !database.isFollowed
        {
            database.gap = database.gap ?? "a checkpoint reset the WAL"
        }
        guard !world.dice.chance(habits.lostEventShare) else { return }
        database.agent?.wake([.wal, .database], after: world.dice.number(10_000...3_000_000))
    }

    /// Whether the WAL was reset behind the back of an agent that is not there.
    private func lookAtWAL(_ database: SimulatedDatabase) {
        let salts = try? WALFileSalts.read(database.path + "-wal")
        defer { database.salts = salts ?? database.salts }
        guard salts != database.salts, database.salts != nil, !database.isFollowed else { return }
        database.gap = database.gap ?? "the WAL was reset while no agent followed it"
    }

    // MARK: - The agent

    func startAgent(_ database: SimulatedDatabase) {
        let root = folder.path
        if !database.isApplicationRunning, habits.hasUncheckedFrames,
            applications.ask("unchecked \(database.path)") == "yes"
        {
            // The agent would be the first to open the database, and nobody would know what SQLite
            // made of it.
            startApplication(database, after: true)
            guard counts.mixtures == 0 else { return }
        }
        let agent = SimulatedAgent(
            world,
            path: database.path,
            bucket: bucket,
            settings: habits.agent,
            log: { [world, name = database.name] level, message, values in
                if message == "level stored" { world.levelCount += 1 }
                if message.contains("is not proven") { world.violation(message) }
                if case .debug = level { return }
                let text = values.map { "\($0)=\($1)" }.joined(separator: " ")
                world.note("  agent \(name): \(message) \(text)".replacing(root, with: ""))
            }
        )
        agent.observer = self
        database.agent = agent
        database.hasCaughtUp = false
        world.note("agent \(database.name) starts")
        agent.start()
        world.executor.drain()
    }

    func killAgent(_ database: SimulatedDatabase) {
        guard let agent = database.agent else { return }
        world.note("agent \(database.name) is killed")
        agent.kill()
        if !agent.hasEnded { world.violation("a killed agent does not end: the simulation hangs") }
        database.agent = nil
        database.hasCaughtUp = false
        counts.kills += 1
    }

    func decided(_ begin: FollowerStart, _ decision: FollowerStart.Decision) {
        guard let database = databases.first(where: { $0.path == begin.path }) else { return }
        let hasGap: Bool
        switch decision {
        case .goOn: hasGap = false
        case .bridge, .begin, .goBack, .goOnRestored: hasGap = true
        }
        counts.bridges += hasGap ? 1 : 0
        if let tip = begin.tip, begin.generation == tip.generation.id {
            // TXIDs that were given to commits, and not stored, are given to others now.
            truth.forget(after: tip.resume.txid, in: tip.generation.id)
        }
        if case .bridge = decision, let tip = begin.tip, let generation = begin.generation {
            truth.bridges[generation, default: []].insert(tip.resume.txid.next)
        }
        if hasGap, let tip = begin.tip, tip.isOwn, database.gap == nil, habits.isStoreTruthful {
            // The place where the backup ends is in the WAL: then nothing may be missing. Else the
            // WAL was reset while the agent looked on, and checkpointed once it was dead: no commit
            // is lost, but it cannot be proven any more.
            if tip.resume.position?.salts == database.salts {
                world.violation("the history breaks off without need")
            } else {
                counts.unprovable += 1
            }
        }
        database.hasCaughtUp = false
    }

    func rounded(_ follower: Follower) {
        guard let database = databases.first(where: { $0.agent?.follower === follower }),
            let state = database.state
        else { return }
        let generation = follower.configuration.generation
        truth.copied(follower.txid, of: generation, at: world.trueTime)
        if let header = follower.index.header(), header.salts == follower.position.salts,
            header.mxFrame == follower.position.frame
        {
            truth.expected[generation, default: [:]][follower.txid] = state
            database.hasCaughtUp = true
            if follower.durableTXID == follower.txid, isStored(generation) { database.gap = nil }
        }
        if let durable = follower.durableTXID, durable > truth.durable[generation] ?? .zero {
            truth.durable[generation] = durable
            let time = truth.copyTime(of: durable, of: generation) ?? world.trueTime
            truth.durableAt[generation, default: []].append((durable, time))
        }
    }

    private func isStored(_ generation: GenerationID) -> Bool {
        guard let key = try? CatalogLayout().record(of: generation) else { return false }
        return bucket.memory.objects[key] != nil
    }

    // MARK: - The end

    /// Without accidents everything has to be durable soon.
    private func finish() {
        isEnding = true
        world.note("the end: no more accidents")
        bucket.faults = StoreFaults()
        world.interruptionShare = 0
        let database = databases[0]
        if !database.isApplicationRunning { startApplication(database) }
        _ = ask(database, "rollback")
        let last = ask(database, "commit write 1").split(separator: " ")
        if last.count == 3 {
            truth.commit(from: database.state, to: String(last[1]))
            database.state = String(last[1])
            lookAtWAL(database)
        }
        if database.agent?.hasEnded ?? true {
            database.agent = nil
            startAgent(database)
        }
        let deadline = world.now + 300 * Nanoseconds.second
        while !isAllDurable(database), world.now < deadline, world.violations.isEmpty {
            guard world.step() else { break }
            // One that was asked to stop before has done so by now.
            if database.agent?.hasEnded == true { startAgent(database) }
        }
        if !isAllDurable(database), world.violations.isEmpty {
            world.violation("the last commit is not durable 300 s after the last fault")
        }
    }

    private func isAllDurable(_ database: SimulatedDatabase) -> Bool {
        guard let follower = database.agent?.follower, database.hasCaughtUp else { return false }
        let generation = follower.configuration.generation
        return follower.durableTXID == follower.txid
            && truth.expected[generation]?[follower.txid] == database.state
    }

    /// States that are restored at the end at most: a run of them, and the last.
    private static let restoreCount: Int = {
        getenv("HIGHWATER_SIM_RESTORES").flatMap { Int(String(cString: $0)) } ?? 40
    }()

    func judge(final: Bool) {
        counts.judgements += 1
        guard final || counts.judgements < 4 else { return }
        var judge = Judge(truth: truth, store: bucket.memory.copy(), folder: folder.path)
        judge.restoreCount = final ? Self.restoreCount : 6
        judge.mayFork = bucket.hasLateObjects
        if habits.agent.maintenance.isEnabled {
            judge.keptSince = Timestamp(
                milliseconds: world.trueTime.milliseconds
                    - habits.agent.maintenance.retention.window
            )
        }
        if habits.hasClockErrors, habits.agent.maintenance.isEnabled {
            judge.keptSince = world.trueTime
        }
        let verdict = judge.judge(seed: seed)
        counts.restores += verdict.restored
        counts.forks += verdict.forks
        counts.generations = max(counts.generations, truth.durable.count)
        counts.levels = world.levelCount
        counts.requests = bucket.requests
        counts.faults = bucket.failures
        for text in verdict.violations { world.violation(text) }
        world.note("judged: \(verdict.restored) restores")
    }
}

/// The salts in a WAL's header. No lock of SQLite's lies on that file, so that it may be closed.
enum WALFileSalts {
    static func read(_ path: String) throws -> WALSalts? {
        guard try FileSystem.status(path) != nil else { return nil }
        let file = try FileDescriptor(path: path, flags: 0)
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        guard count == 32 else { return nil }
        func number(_ at: Int) -> UInt32 {
            bytes[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) }
        }
        return WALSalts(salt1: number(16), salt2: number(20))
    }
}
