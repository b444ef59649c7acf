import Bytes
import Maintenance
import Platform
import TestSupport

@testable import Replication

/// What one history is like: of everything that may happen, each seed takes some (swarm testing),
/// since accidents also hide each other.
struct Habits: CustomStringConvertible {
    var faults = StoreFaults()
    var agent = AgentSettings()
    var options = ""
    var actions = 60
    var interruptionShare = 0.0
    var lostEventShare = 0.0
    var accidents: [(weight: Int64, accident: Accident)] = []
    var accidentInterval: Int64 = 0
    var isStoreTruthful = true
    var hasClockErrors = false
    /// SQLite 3.40.1 commits frames without checksums after a ROLLBACK TO of spilled pages. Its own
    /// recovery stops before them.
    var hasUncheckedFrames = false
    private var pace: Int64 = 0
    private var works: [(weight: Int64, line: String)] = []
    private var summary = ""

    enum Accident: String {
        case agentKilled, agentStopped, agentStarted, applicationKilled, applicationStarted
        case powerCut, spoolLost, clockJump, storeDown, judged, cloned
    }

    init(_ random: inout SeededGenerator) {
        takeFaults(&random)
        takeAgent(&random)
        takeApplication(&random)
        takeAccidents(&random)
    }

    private mutating func takeFaults(_ random: inout SeededGenerator) {
        guard random.chance(0.8) else { return summary += "no faults" }
        func some(_ random: inout SeededGenerator, _ share: Double) -> Double {
            random.chance(0.5) ? Double(random.number(1...100)) / 100 * share : 0
        }
        faults.lostBefore = some(&random, 0.4)
        faults.lostAfter = some(&random, 0.3)
        faults.late = some(&random, 0.2)
        faults.twice = some(&random, 0.3)
        faults.slow = some(&random, 0.2)
        if random.chance(0.15) { faults.corrupt = 0.1 }
        isStoreTruthful = faults.corrupt == 0
        summary += "\(faults)"
    }

    private mutating func takeAgent(_ random: inout SeededGenerator) {
        agent.syncInterval = random.pick([0, 100, 1000]) * Nanoseconds.millisecond
        agent.walResetFrames = random.pick([40, 150, 4000])
        agent.quietResetFrames = random.pick([2, 16, 64])
        agent.maintenance.isEnabled = random.chance(0.5)
        agent.maintenance.interval = random.number(3...60) * Nanoseconds.second
        // Not drawn: seeds stay what they were.
        let period = agent.maintenance.interval / Nanoseconds.millisecond
        agent.maintenance.levels = LevelPolicy(
            periods: [period, period * 4, period * 16],
            leastBytes: 500
        )
        agent.maintenance.snapshots = SnapshotPolicy(fraction: random.pick([0.1, 0.5, 2.0]))
        agent.maintenance.retention = RetentionRules(
            window: random.pick([20_000, 300_000, 604_800_000]),
            grace: random.pick([1000, 60_000]),
            packGrace: random.pick([1000, 30_000])
        )
        summary += " \(agent)"
    }

    private mutating func takeApplication(_ random: inout SeededGenerator) {
        let pageSize = random.pick([512, 1024, 4096])
        let checkpoint = random.pick([0, 10, 60, 1000])
        let rows = random.pick([0, 20, 200])
        let vacuum = random.pick([0, 1, 2])
        options =
            #"{"page_size":\#(pageSize),"autocheckpoint":\#(checkpoint),"rows":\#(rows),"#
            + #""auto_vacuum":\#(vacuum)}"#
        actions = Int(random.number(20...90))
        pace = random.pick([1, 30, 300, 3000]) * Nanoseconds.millisecond
        interruptionShare = random.pick([0, 0.002, 0.02])
        lostEventShare = random.pick([0, 0.1, 1])
        let all: [(Int64, String)] = [
            (8, "commit write 3"), (8, "commit change 3"), (4, "commit delete 8"),
            (2, "commit write 60"), (2, "commit delete 100"), (3, "spill change 20"),
            (2, "spill write 30"), (2, "rollback"), (2, "savepoint 6"), (3, "checkpoint passive"),
            (2, "checkpoint full"), (2, "checkpoint restart"), (2, "checkpoint truncate"),
            (1, "vacuum whole"), (2, "vacuum some"), (2, "read"), (1, "reopen"),
        ]
        works = [(8, "commit write 2")]
        for work in all where random.chance(0.6) { works.append(work) }
        hasUncheckedFrames = works.contains { $0.line.hasPrefix("savepoint") }
        summary += " \(options) every \(pace / 1_000_000) ms"
    }

    private mutating func takeAccidents(_ random: inout SeededGenerator) {
        accidentInterval = random.pick([200, 2000, 20_000]) * Nanoseconds.millisecond
        accidents = [(6, .agentStarted), (4, .applicationStarted), (1, .judged)]
        let all: [(Int64, Accident)] = [
            (3, .agentKilled), (1, .agentStopped), (2, .applicationKilled), (1, .powerCut),
            (1, .spoolLost), (1, .clockJump), (1, .storeDown), (1, .cloned),
        ]
        for (weight, accident) in all where random.chance(0.5) {
            accidents.append((weight, accident))
        }
        hasClockErrors = accidents.contains { $0.accident == .clockJump }
        summary += " \(accidents.map(\.accident.rawValue))"
    }

    /// How long the application rests.
    func pause(_ random: inout SeededGenerator) -> Int64 {
        if random.chance(0.03) { return random.number(1...400) * Nanoseconds.second }
        return random.chance(0.5) ? random.number(0...pace / 20) : random.number(0...pace * 2)
    }

    /// What it does next.
    func action(_ random: inout SeededGenerator) -> String { Self.pick(works, &random) }

    /// What goes wrong next.
    func accident(_ random: inout SeededGenerator) -> Accident { Self.pick(accidents, &random) }

    private static func pick<T>(
        _ choices: [(weight: Int64, T)],
        _ random: inout SeededGenerator
    ) -> T {
        var place = random.number(0...choices.reduce(0) { $0 + $1.weight } - 1)
        for (weight, choice) in choices {
            if place < weight { return choice }
            place -= weight
        }
        return choices[0].1
    }

    var description: String { summary }
}

extension History {
    func scheduleAccident() {
        world.schedule(after: world.dice.number(0...habits.accidentInterval * 2)) {
            [unowned self] in
            guard !isEnding else { return }
            counts.accidents += 1
            happen(habits.accident(&world.dice), to: databases[0])
            scheduleAccident()
        }
    }

    private func happen(_ accident: Habits.Accident, to database: SimulatedDatabase) {
        switch accident {
        case .agentStarted:
            if database.agent?.hasEnded ?? true { startAgent(database) }
        case .agentKilled: killAgent(database)
        case .agentStopped:
            world.note("a stop is requested")
            database.agent?.stop(within: 5 * Nanoseconds.second)
        case .applicationStarted:
            if !database.isApplicationRunning { startApplication(database) }
        case .applicationKilled: killApplication(database)
        case .powerCut: cutPower(database)
        case .spoolLost:
            killAgent(database)
            world.note("the local files are lost")
            _ = applications.ask("remove \(LocalState(databasePath: database.path).folder)")
            database.gap = "the local files were lost"
        case .clockJump:
            world.clockError = world.dice.number(-100_000...100_000)
            world.note("the agents' clock is \(world.clockError) ms off")
        case .storeDown:
            bucket.faults.downUntil = world.now + world.dice.number(1...60) * Nanoseconds.second
            world.note("the store is away for a while")
        case .judged: judge(final: false)
        case .cloned: clone(database)
        }
    }

    private func killApplication(_ database: SimulatedDatabase) {
        guard database.isApplicationRunning else { return }
        world.note("application \(database.name) is killed")
        database.mayMix = applications.ask("mixes \(database.path)") == "yes"
        _ = ask(database, "kill")
        database.isApplicationRunning = false
    }

    private func cutPower(_ database: SimulatedDatabase) {
        killAgent(database)
        killApplication(database)
        let share = Double(world.dice.number(0...100)) / 100
        database.mayMix = database.mayMix || applications.ask("mixes \(database.path)") == "yes"
        let answer = applications.ask("cut \(database.path) \(share)")
        world.note("the power is cut: \(answer)")
        counts.powerCuts += 1
        database.gap = "the power was cut"
        startApplication(database, after: true)
    }

    /// The files go to another place, where another agent takes them for its own.
    private func clone(_ database: SimulatedDatabase) {
        guard databases.count == 1 else { return }
        // A copy is recovered by SQLite as after a crash (stepped.py, `mixes`).
        guard applications.ask("mixes \(database.path)") == "no" else { return }
        let path = folder.file("b.db")
        guard applications.ask("copy \(database.path) \(path)") == "done" else { return }
        world.note("the database is cloned")
        let copy = SimulatedDatabase(name: "b", path: path)
        copy.gap = "it is a copy"
        databases.append(copy)
        startApplication(copy)
        startAgent(copy)
        var left = 5
        func go() {
            world.schedule(after: habits.pause(&world.dice)) { [unowned self] in
                act(copy)
                left -= 1
                if left > 0, !isEnding { go() }
            }
        }
        go()
    }
}
