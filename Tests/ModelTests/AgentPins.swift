import Bytes
import WALFormat

@testable import Replication

extension Rules {
    // MARK: - PinPair

    func newerSteps(_ world: World, _ visit: Visit) {
        let agent = world.agent
        if agent.newer == WALModel.none {
            guard !world.wal.isTorn else { return }
            var next = world
            next.agent.seenFrame = world.wal.mxFrame
            next.agent.seenSalt = world.wal.salt
            next.agent.step = .beforeNewer
            visit(next, nil) { "agent: looks before the newer pin" }
            return
        }
        if let permit = agent.rules!.permitToDropOlder() {
            var next = world
            next.agent.rules!.droppedOlder(permit)
            dropOlder(&next)
            visit(next, nil) { "agent: drops the older pin, rests on lock \(next.agent.older)" }
        } else if weakness == .olderDroppedBeforeCopying, agent.rules!.copied < newerPoint(world) {
            dropTooEarly(world, visit)
        }
        var next = world
        next.wal.endRead(agent.newer)
        next.agent.newer = WALModel.none
        next.agent.rules!.gaveNewerBack()
        visit(next, nil) { "agent: gives the newer pin back" }
    }

    private func newerPoint(_ world: World) -> PinProtocol.Point {
        world.agent.rules!.newer!.point
    }

    private func dropOlder(_ world: inout World) {
        world.wal.endRead(world.agent.older)
        world.agent.older = world.agent.newer
        world.agent.newer = WALModel.none
        world.agent.baseCommit = WALModel.none
        world.agent.baseFrame = 0
        world.agent.baseSalt = 0
    }

    /// The order that DESIGN §4.1 forbids. The protocol itself cannot be told so: it is left as
    /// it was, with the older landing, while SQLite has only the newer pin.
    private func dropTooEarly(_ world: World, _ visit: Visit) {
        var next = world
        dropOlder(&next)
        next.agent.rules!.gaveNewerBack()
        visit(next, nil) { "agent: drops the older pin too early" }
    }

    func beginNewer(_ world: World, _ visit: Visit) {
        var next = world
        if let lock = next.wal.beginRead(slots: bounds.slots) {
            next.agent.newer = lock
            next.agent.step = .newerBegan
            visit(next, nil) { "agent: newer pin on lock \(lock)" }
            return
        }
        forget(&next)
        visit(next, nil) { "agent: no newer pin to be had" }
    }

    func lookAfterNewer(_ world: World, _ visit: Visit) {
        var next = world
        let agent = world.agent
        let before = WALIndexHeader(
            mxFrame: UInt32(agent.seenFrame),
            salts: WALSalts(salt1: UInt32(agent.seenSalt), salt2: 0)
        )
        let after = weakness == .landingSeenBeforeBegin ? before : world.wal.header
        forget(&next)
        let isTaken =
            !world.wal.isTorn
            && next.agent.rules!.tookNewer(
                before: before,
                after: after,
                backfilled: world.wal.info.nBackfill
            )
        if !isTaken {
            next.wal.endRead(agent.newer)
            next.agent.newer = WALModel.none
        }
        visit(next, nil) { "agent: the newer pin is \(isTaken ? "held" : "given back")" }
    }

    private func forget(_ world: inout World) {
        world.agent.seenFrame = 0
        world.agent.seenSalt = 0
        world.agent.step = .idle
    }

    // MARK: - Checkpoints of the agent

    func checkpointSteps(_ world: World, _ visit: Visit) {
        let rules = world.agent.rules!
        guard world.wal.checkpointHolder == 0, !world.wal.isTorn else { return }
        if rules.isHandshakeDue { startOwn(world, .handshake, visit) }
        // Follower.resetWhileQuiet.
        if rules.older.point == rules.copied, rules.safe == rules.copied, rules.newer == nil,
            world.wal.mxFrame > 0, world.wal.salts == rules.salts,
            UInt32(world.wal.nBackfill) == rules.copied.frame
        {
            startOwn(world, .truncating, visit)
        }
        if bounds.isForcing, world.wal.nBackfill < world.wal.mxFrame {
            startOwn(world, .passive, visit)
        }
    }

    private func startOwn(_ world: World, _ step: AgentModel.Step, _ visit: Visit) {
        var next = world
        next.agent.step = step
        next.agent.seenSalt = world.wal.salt
        start(&next, World.ownNumber, isTruncate: step == .truncating)
        visit(next, nil) { "agent: begins a checkpoint, \(step)" }
    }

    func checkpointReturned(_ world: World, _ visit: Visit) {
        let outcome = world.own.outcome
        guard outcome != .none else { return }
        var next = world
        let agent = world.agent
        next.own.outcome = .none
        forget(&next)
        let before = WALSalts(salt1: UInt32(agent.seenSalt), salt2: 0)
        if outcome == .done, agent.step == .handshake {
            next.agent.rules!.passiveReturned(
                saltsBefore: before
            )
        }
        if outcome == .done, agent.step == .truncating, !world.wal.isTorn,
            world.wal.salts != before
        {
            next.agent.rules!.ownReset(world.wal.header)
            let place = AgentModel.Place(point: next.agent.rules!.copied, commit: agent.copied)
            next.agent.sealed = place
            next.agent.durable = place
            next.agent.durableElsewhere = place
        }
        visit(next, nil) { "agent: the checkpoint returned \(outcome)" }
    }

    // MARK: - The write lock of DESIGN §4.3

    func lockSteps(_ world: World, _ visit: Visit) {
        guard bounds.isForcing else { return }
        var next = world
        if world.agent.locker != WALModel.none {
            next.wal.endRead(world.agent.locker)
            next.wal.writeHolder = 0
            next.agent.locker = WALModel.none
            visit(next, nil) { "agent: ROLLBACK" }
        } else if world.wal.writeHolder == 0, let lock = next.wal.beginRead(slots: bounds.slots) {
            next.wal.writeHolder = 9
            next.agent.locker = lock
            visit(next, nil) { "agent: BEGIN IMMEDIATE on lock \(lock)" }
        }
    }
}
