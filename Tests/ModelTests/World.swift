/// How far the search goes.
struct Bounds: Sendable {
    /// Read marks beside lock 0; SQLite has four.
    var slots = 2
    var frames = 3
    var commits: UInt8 = 3
    /// The highest salt: resets, plus 1.
    var salts: UInt8 = 2
    var checkpointers = 1
    var hasReader = false
    var replicas = 1
    var writerCrashes: UInt8 = 0
    var checkpointerCrashes: UInt8 = 0
    var agentCrashes: UInt8 = 0
    /// The agent makes room under the write lock, and runs PASSIVE for it.
    var isForcing = false
    /// The agent is there from the beginning; else it attaches at any time.
    var startsAttached = false
}

/// Everything: SQLite, the application's connections and the agent.
struct World: Hashable, Sendable {
    var wal: WALModel
    var writer = Writer()
    var readerLock = WALModel.none
    var first = Checkpointer()
    var second = Checkpointer()
    /// The agent's own checkpoint connection.
    var own = Checkpointer()
    var agent = AgentModel()

    var writerCrashes: UInt8 = 0
    var checkpointerCrashes: UInt8 = 0
    var agentCrashes: UInt8 = 0

    init(_ bounds: Bounds) { wal = WALModel(slots: bounds.slots) }

    /// Checkpointers by number; the last one is the agent's own.
    static let ownNumber: UInt8 = 2

    subscript(checkpointer number: UInt8) -> Checkpointer {
        get {
            switch number {
            case 0: first
            case 1: second
            default: own
            }
        }
        set {
            switch number {
            case 0: first = newValue
            case 1: second = newValue
            default: own = newValue
            }
        }
    }
}

/// What went wrong in a transition.
enum Violation: String, Sendable, CaseIterable {
    case lostCommits = "the WAL was reset with commits that were not copied and safe"
    case wrongCommit = "the commit copied is not the next one"
    case wrongPreImage = "a pre-image is not the page before the commit"
    case wrongBase = "the state under the first pin is not the one it began at"
    case corrupt = "the database is corrupt for a new reader"
    case broken = "the agent lost continuity although nobody broke a rule"
}

/// Receives the successors of a state.
typealias Visit = (_ next: World, _ violation: Violation?, _ label: () -> String) -> Void

/// The transitions of one run of the model.
struct Rules: Sendable {
    var bounds: Bounds
    var weakness: Weakness?

    /// Where the search begins.
    var start: World {
        var world = World(bounds)
        while bounds.startsAttached, world.agent.phase != .attached {
            var next: World?
            agentSteps(world) { state, _, _ in next = next ?? state }
            world = next!
        }
        return world
    }

    /// All that can happen next.
    func successors(of world: World, _ visit: Visit) {
        writerSteps(world, visit)
        readerSteps(world, visit)
        for number in 0..<UInt8(bounds.checkpointers) {
            checkpointerSteps(world, number, visit)
        }
        checkpointerSteps(world, World.ownNumber, visit)
        agentSteps(world, visit)
        recoverySteps(world, visit)
    }

    /// What a state is, beyond what the step into it knows: a violation, or nil and whether the
    /// search goes on from it.
    func judge(_ next: World, _ violation: Violation?) -> (goesOn: Bool, violation: Violation?) {
        if let violation { return (false, violation) }
        if next.wal.isCorrupt {
            // Before the attachment is complete nobody is protected.
            return (false, next.agent.phase == .attached ? .corrupt : nil)
        }
        return next.agent.isBaseIntact(next.wal) ? (true, nil) : (false, .wrongBase)
    }

    private func readerSteps(_ world: World, _ visit: Visit) {
        guard bounds.hasReader else { return }
        var next = world
        if world.readerLock == WALModel.none {
            guard let lock = next.wal.beginRead(slots: bounds.slots) else { return }
            next.readerLock = lock
            visit(next, nil) { "reader begins on lock \(lock)" }
        } else {
            next.wal.endRead(world.readerLock)
            next.readerLock = WALModel.none
            visit(next, nil) { "reader ends" }
        }
    }

    /// wal.c walIndexReadHdr: whoever finds a torn header recovers, under WRITE and CKPT.
    private func recoverySteps(_ world: World, _ visit: Visit) {
        guard world.wal.isTorn, world.wal.writeHolder == 0, world.wal.checkpointHolder == 0
        else { return }
        var next = world
        next.wal.recover(slots: bounds.slots, frames: bounds.frames)
        visit(next, nil) {
            "recovery: mxFrame=\(next.wal.mxFrame) salt=\(next.wal.salt) "
                + "commits=\(next.wal.commits)"
        }
    }
}
