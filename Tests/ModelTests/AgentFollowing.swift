import Bytes
import WALFormat

@testable import Replication

extension Rules {
    func idleSteps(_ world: World, _ visit: Visit) {
        lookStep(world, visit)
        newerSteps(world, visit)
        shippingSteps(world, visit)
        checkpointSteps(world, visit)
        lockSteps(world, visit)
    }

    // MARK: - Follower.look

    private func lookStep(_ world: World, _ visit: Visit) {
        guard !world.wal.isTorn else { return hazard(world, "cannot read the WAL-index", visit) }
        var next = world
        let observation = next.agent.rules!.observe(world.wal.header)
        switch observation {
        case .unchanged: return
        case .broken(let reason): return hazard(world, reason, visit)
        case .appended: break
        case .reset:
            // PinPair.observe gives a pin back that was taken before the reset.
            if next.agent.newer != WALModel.none, next.agent.rules!.newer == nil {
                next.wal.endRead(world.agent.newer)
                next.agent.newer = WALModel.none
            }
            if weakness == .noHandshake {
                next.agent.rules!.passiveReturned(saltsBefore: world.wal.salts)
            }
            startPlaces(&next)
        }
        if world.wal.mxFrame > 0 {
            next.agent.step = .copying
            next.agent.target = world.wal.mxFrame
            next.agent.seenSalt = world.wal.salt
            next.agent.page = 0
        }
        visit(next, nil) { "agent: sees \(observation)" }
    }

    private func startPlaces(_ world: inout World) {
        let place = AgentModel.Place(
            point: world.agent.rules!.copied,
            commit: world.agent.copied
        )
        world.agent.sealed = place
        world.agent.durable = place
        world.agent.durableElsewhere = place
    }

    // MARK: - CommitCopier

    /// The next page of the next commit; several while nobody has to be asked in between.
    func copyStep(_ world: World, _ visit: Visit) {
        var next = world
        let wal = world.wal
        let previous = UInt8(world.agent.rules!.copied.frame)
        var last = previous + 1
        while last < world.agent.target, wal.frameSize[last] == 0 { last += 1 }
        let isWhole =
            (previous + 1...last).allSatisfy { wal.frameSalt[$0] == world.agent.seenSalt }
            && wal.frameSize[last] > 0
        guard isWhole else {
            return hazard(world, "frames do not verify", visit)
        }
        if wal.frameContent[last] != world.agent.copied + 1 { next.agent.mistake |= 1 }
        let pages = touched(wal, previous, last)
        if world.agent.step == .readingFile {
            finishFileRead(&next, pages[Int(world.agent.page)], previous)
        }
        while next.agent.page < UInt8(pages.count), next.agent.step == .copying {
            readPreImage(&next, pages[Int(next.agent.page)], previous)
        }
        if next.agent.step == .readingFile {
            visit(next, nil) { "agent: turns to the file for a pre-image" }
            return
        }
        next.agent.page = 0
        next.agent.copied += 1
        next.agent.rules!.copy(to: UInt32(last))
        if weakness == .safeNotAwaited { pretendSafe(&next) }
        guard last == world.agent.target else {
            visit(next, nil) { "agent: copies commit \(next.agent.copied)" }
            return
        }
        endCopying(world, next, visit)
    }

    private func endCopying(_ world: World, _ next: World, _ visit: Visit) {
        var next = next
        let agent = next.agent
        let isSame = !world.wal.isTorn && world.wal.salt == agent.seenSalt
        guard isSame else {
            return hazard(world, "the WAL was reset while it was copied", visit)
        }
        next.agent.step = .idle
        next.agent.target = 0
        next.agent.seenSalt = 0
        next.agent.mistake = 0
        let violation: Violation? =
            agent.mistake & 1 != 0 ? .wrongCommit : agent.mistake & 2 != 0 ? .wrongPreImage : nil
        visit(next, violation) {
            "agent: copies commit \(agent.copied), "
                + "mistake \(agent.mistake)"
        }
    }

    /// Pages whose content before the commit is asked for; removed ones too.
    private func touched(_ wal: WALModel, _ previous: UInt8, _ last: UInt8) -> [UInt8] {
        var pages = (previous + 1...last).map { wal.framePage[$0] }
        if wal.frameSize[last] == 1, !pages.contains(2) { pages.append(2) }
        return pages
    }

    private func readPreImage(_ world: inout World, _ page: UInt8, _ previous: UInt8) {
        let wal = world.wal
        let before = world.agent.copied
        guard page <= wal.pageCount(before) else {
            world.agent.page += 1
            return
        }
        let low = weakness == .preImageSearchAfterBackfill ? wal.nBackfill : 0
        let frame = wal.newestFrame(page, atOrBelow: previous, above: low)
        if frame > 0 {
            if wal.frameContent[frame] != wal.content(page, at: before) { world.agent.mistake |= 2 }
            world.agent.page += 1
        } else if mayReadFile(world, previous) {
            world.agent.step = .readingFile
        } else {
            world.agent.page += 1
        }
    }

    private func finishFileRead(_ world: inout World, _ page: UInt8, _ previous: UInt8) {
        if mayReadFile(world, previous),
            world.wal.file[page] != world.wal.content(page, at: world.agent.copied)
        {
            world.agent.mistake |= 2
        }
        world.agent.page += 1
        world.agent.step = .copying
    }

    private func mayReadFile(_ world: World, _ previous: UInt8) -> Bool {
        if weakness == .fileReadWithoutLook { return true }
        return world.agent.rules!.isFileReadable(asOf: UInt32(previous), world.wal.info)
    }

    // MARK: - Shipping

    private func shippingSteps(_ world: World, _ visit: Visit) {
        let rules = world.agent.rules!
        let copied = AgentModel.Place(point: rules.copied, commit: world.agent.copied)
        if bounds.replicas == 1 {
            guard world.agent.durable != copied else { return }
            var next = world
            next.agent.sealed = copied
            next.agent.durable = copied
            next.agent.durableElsewhere = copied
            noteDurable(&next)
            visit(next, nil) { "agent: durable up to commit \(copied.commit)" }
            return
        }
        if world.agent.sealed != copied {
            var next = world
            next.agent.sealed = copied
            visit(next, nil) { "agent: seals up to commit \(copied.commit)" }
        }
        if world.agent.durable != world.agent.sealed {
            var next = world
            next.agent.durable = world.agent.sealed
            noteDurable(&next)
            visit(next, nil) { "agent: durable up to commit \(next.agent.durable.commit)" }
        }
        if world.agent.durableElsewhere != world.agent.sealed {
            var next = world
            next.agent.durableElsewhere = world.agent.sealed
            noteDurable(&next)
            visit(next, nil) {
                "agent: second replica durable up to \(next.agent.durableElsewhere.commit)"
            }
        }
    }

    private func noteDurable(_ world: inout World) {
        let (one, other) = (world.agent.durable, world.agent.durableElsewhere)
        let slowest = one.point <= other.point ? one : other
        let fastest = one.point <= other.point ? other : one
        world.agent.rules!.makeSafe(
            weakness == .fastestReplicaCounts ? fastest.point : slowest.point
        )
        guard slowest.commit > world.agent.storeCommit else { return }
        world.agent.storeCommit = slowest.commit
        world.agent.storeFrame = UInt8(slowest.point.frame)
        world.agent.storeSalt = UInt8(world.agent.rules!.salts.salt1)
        if slowest.commit >= world.agent.attachedAt { world.agent.isCaughtUp = true }
    }

    private func pretendSafe(_ world: inout World) {
        world.agent.rules!.makeSafe(world.agent.rules!.copied)
    }
}
