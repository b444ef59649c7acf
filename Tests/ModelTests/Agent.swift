import Bytes
import WALFormat

@testable import Replication

/// A rule of the protocol taken out on purpose. The search has to find what goes wrong.
enum Weakness: String, Sendable, CaseIterable {
    /// The older pin goes before frames and pre-images up to the newer one are copied.
    case olderDroppedBeforeCopying
    /// What was copied counts as safe at once.
    case safeNotAwaited
    /// Lock 0 is left without the PASSIVE of DESIGN §4.4.
    case noHandshake
    /// The frame search for a pre-image starts after nBackfill, as a reader's does.
    case preImageSearchAfterBackfill
    /// The file is read without asking how far a checkpoint may have come.
    case fileReadWithoutLook
    /// The first pin is kept for good; nobody waits for checkpointers that came before it.
    case attachedWithoutWaiting
    /// The moment without a checkpointer counts although the WAL was reset after it.
    case attachedAcrossReset
    /// The newer pin counts as being at the commit seen before its BEGIN.
    case landingSeenBeforeBegin
    /// One replica's durable position stands for all.
    case fastestReplicaCounts
}

/// The agent: the real `PinProtocol`, and around it the steps of Attachment, PinPair, Follower
/// and CommitCopier, each of which others may interrupt.
struct AgentModel: Hashable, Sendable {
    enum Phase: UInt8, Sendable {
        case detached, firstPin, salted, passed, beforeSecond, secondBegan, attached
    }

    enum Step: UInt8, Sendable {
        case idle, beforeNewer, newerBegan, copying, readingFile, handshake, passive, truncating
    }

    /// A place in the history and the commit that ends there.
    struct Place: Hashable, Sendable {
        var point = PinProtocol.Point(epoch: 0, frame: 0)
        var commit: UInt8 = 0
    }

    var phase = Phase.detached
    var step = Step.idle
    var rules: PinProtocol?

    // The pins as SQLite knows them.
    var older = WALModel.none
    var newer = WALModel.none
    var locker = WALModel.none

    // Registers between two steps.
    var seenFrame: UInt8 = 0
    var seenSalt: UInt8 = 0
    var target: UInt8 = 0
    var page: UInt8 = 0
    /// What was copied wrongly since the look; it counts once the salts are found unchanged.
    var mistake: UInt8 = 0

    /// The last commit copied.
    var copied: UInt8 = 0
    /// What was handed to the replicas, and what each of them has.
    var sealed = Place()
    var durable = Place()
    var durableElsewhere = Place()

    // What a restart finds in the store.
    var storeCommit: UInt8 = 0
    var storeFrame: UInt8 = 0
    var storeSalt: UInt8 = 0

    /// Everything that was in the WAL at the attachment is in the store, or a mark keeps it.
    var isCaughtUp = false
    var attachedAt: UInt8 = 0
    /// The state under the attachment's pin is being read.
    var baseCommit = WALModel.none
    var baseFrame: UInt8 = 0
    var baseSalt: UInt8 = 0

    /// A reset now makes every published commit unreachable: it must be copied and safe.
    func lossAtReset(_ wal: WALModel) -> Violation? {
        guard phase == .attached, isCaughtUp else { return nil }
        return copied == wal.commits && storeCommit == wal.commits ? nil : .lostCommits
    }

    /// PinnedState: what it would read now is what was committed when the pin was taken.
    func isBaseIntact(_ wal: WALModel) -> Bool {
        guard baseCommit != WALModel.none, !wal.isTorn else { return true }
        for page in 1...wal.pageCount(baseCommit) {
            let frame =
                wal.salt == baseSalt ? wal.newestFrame(page, atOrBelow: baseFrame) : 0
            let content = frame > 0 ? wal.frameContent[frame] : wal.file[page]
            if content != wal.content(page, at: baseCommit) { return false }
        }
        return true
    }
}

extension WALModel {
    var salts: WALSalts { WALSalts(salt1: UInt32(salt), salt2: 0) }
    var header: WALIndexHeader { WALIndexHeader(mxFrame: UInt32(mxFrame), salts: salts) }
    var info: CheckpointInfo {
        CheckpointInfo(
            nBackfill: UInt32(nBackfill),
            nBackfillAttempted: UInt32(nBackfillAttempted)
        )
    }
}

extension Rules {
    func agentSteps(_ world: World, _ visit: Visit) {
        if world.agent.phase == .attached {
            switch world.agent.step {
            case .idle: idleSteps(world, visit)
            case .beforeNewer: beginNewer(world, visit)
            case .newerBegan: lookAfterNewer(world, visit)
            case .copying, .readingFile: copyStep(world, visit)
            case .handshake, .passive, .truncating: checkpointReturned(world, visit)
            }
        } else {
            attachSteps(world, visit)
        }
        if world.agent.phase != .detached, world.agentCrashes < bounds.agentCrashes {
            var next = world
            detach(&next)
            next.agentCrashes += 1
            visit(next, nil) { "agent: is killed; the store has \(next.agent.storeCommit)" }
        }
    }

    /// All locks go, what the store has stays.
    func detach(_ world: inout World) {
        let old = world.agent
        world.wal.endRead(old.older)
        world.wal.endRead(old.newer)
        if old.locker != WALModel.none {
            world.wal.endRead(old.locker)
            world.wal.writeHolder = 0
        }
        if world.own.step == .copying || world.own.step == .backfilled {
            world.wal.isLock0Exclusive = false
        }
        if world.wal.checkpointHolder == World.ownNumber + 1 { world.wal.checkpointHolder = 0 }
        if world.wal.writeHolder == World.ownNumber + 2 { world.wal.writeHolder = 0 }
        world.own = Checkpointer()
        world.agent = AgentModel()
        world.agent.storeCommit = old.storeCommit
        world.agent.storeFrame = old.storeFrame
        world.agent.storeSalt = old.storeSalt
    }

    /// The agent gives up its attachment because of what it saw.
    func hazard(_ world: World, _ reason: String, _ visit: Visit) {
        var next = world
        let violation: Violation? =
            world.agent.isCaughtUp && !world.wal.isTorn ? .broken : nil
        detach(&next)
        visit(next, violation) { "agent: \(reason)" }
    }

    // MARK: - Attachment.init

    private func attachSteps(_ world: World, _ visit: Visit) {
        var next = world
        switch world.agent.phase {
        case .detached:
            guard let lock = next.wal.beginRead(slots: bounds.slots) else { return }
            next.agent.older = lock
            next.agent.phase = weakness == .attachedWithoutWaiting ? .passed : .firstPin
            visit(next, nil) { "agent: first pin on lock \(lock)" }
        case .firstPin:
            guard !world.wal.isTorn else { return }
            next.agent.seenSalt = world.wal.salt
            next.agent.phase = .salted
            visit(next, nil) { "agent: notes the salts" }
        case .salted:
            guard world.wal.checkpointHolder == 0 else { return }
            next.agent.phase = .passed
            visit(next, nil) { "agent: nobody holds CKPT" }
        case .passed:
            guard !world.wal.isTorn else { return }
            if world.wal.salt != world.agent.seenSalt, weakness != .attachedWithoutWaiting,
                weakness != .attachedAcrossReset
            {
                next.agent.phase = .firstPin
                next.agent.seenSalt = 0
                visit(next, nil) { "agent: the WAL was reset meanwhile, once more" }
                return
            }
            next.agent.seenFrame = world.wal.mxFrame
            next.agent.seenSalt = world.wal.salt
            next.agent.phase = .beforeSecond
            visit(next, nil) { "agent: looks before the second pin" }
        case .beforeSecond:
            guard let lock = next.wal.beginRead(slots: bounds.slots) else { return }
            next.agent.newer = lock
            next.agent.phase = .secondBegan
            visit(next, nil) { "agent: second pin on lock \(lock)" }
        case .secondBegan: attach(world, visit)
        case .attached: break
        }
    }

    private func attach(_ world: World, _ visit: Visit) {
        guard !world.wal.isTorn else { return hazard(world, "cannot read the WAL-index", visit) }
        var next = world
        let old = world.agent
        guard world.wal.salt == old.seenSalt else {
            next.wal.endRead(old.newer)
            next.agent.newer = WALModel.none
            next.agent.seenFrame = 0
            next.agent.seenSalt = 0
            next.agent.phase = weakness == .attachedWithoutWaiting ? .passed : .firstPin
            visit(next, nil) { "agent: gives the second pin back" }
            return
        }
        next.wal.endRead(old.older)
        let wal = world.wal
        // FollowerStart.resume: by WAL position, else by digest, else a new base.
        let isFound =
            old.storeFrame > 0 && old.storeSalt == wal.salt && old.storeFrame <= wal.mxFrame
            && wal.frameSalt[old.storeFrame] == wal.salt
        let resumedAt = isFound ? old.storeFrame : wal.mxFrame
        var agent = AgentModel()
        agent.phase = .attached
        agent.older = old.newer
        agent.rules = PinProtocol(
            header: wal.header,
            isOnMark: wal.info.nBackfill < UInt32(old.seenFrame),
            resumedAt: UInt32(resumedAt)
        )
        agent.copied = isFound ? old.storeCommit : wal.commits
        agent.sealed = AgentModel.Place(point: agent.rules!.copied, commit: agent.copied)
        agent.durable = agent.sealed
        agent.durableElsewhere = agent.sealed
        agent.storeCommit = agent.copied
        agent.storeFrame = isFound ? old.storeFrame : wal.mxFrame
        agent.storeSalt = wal.salt
        agent.attachedAt = wal.commits
        agent.isCaughtUp = resumedAt == wal.mxFrame || agent.older != 0
        agent.baseCommit = wal.commits
        agent.baseFrame = wal.mxFrame
        agent.baseSalt = wal.salt
        next.agent = agent
        visit(next, nil) {
            "agent: attached on lock \(agent.older), resumes after commit \(agent.copied) "
                + "at frame \(resumedAt) of \(wal.mxFrame)"
        }
    }
}
