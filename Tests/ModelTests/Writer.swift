/// One application connection that writes.
struct Writer: Hashable, Sendable {
    enum Step: UInt8, Sendable { case idle, began, holding, resetting, writing }

    var step = Step.idle
    var lock = WALModel.none
    var seenFrame: UInt8 = 0
    var seenSalt: UInt8 = 0
    var kind: UInt8 = 0
    var written: UInt8 = 0
    /// Salts of the frames that it writes.
    var salt: UInt8 = 0
}

extension Rules {
    func writerSteps(_ world: World, _ visit: Visit) {
        switch world.writer.step {
        case .idle: begin(world, visit)
        case .began: takeWrite(world, visit)
        case .holding: restartLog(world, visit)
        case .resetting: finishReset(world, visit)
        case .writing:
            if world.writer.written == 0 { chooseKind(world, visit) } else { goOn(world, visit) }
        }
        if world.writer.step != .idle, world.writer.step != .began { die(world, visit) }
    }

    private func begin(_ world: World, _ visit: Visit) {
        guard world.wal.commits < bounds.commits else { return }
        var next = world
        guard let lock = next.wal.beginRead(slots: bounds.slots) else { return }
        next.writer.step = .began
        next.writer.lock = lock
        next.writer.seenFrame = world.wal.mxFrame
        next.writer.seenSalt = world.wal.salt
        visit(next, nil) { "writer: BEGIN on lock \(lock)" }
    }

    private func takeWrite(_ world: World, _ visit: Visit) {
        var next = world
        let isCurrent =
            !world.wal.isTorn && world.writer.seenFrame == world.wal.mxFrame
            && world.writer.seenSalt == world.wal.salt
        if world.wal.writeHolder == 0, isCurrent {
            next.wal.writeHolder = 1
            next.writer.step = world.writer.lock == 0 ? .holding : .writing
            next.writer.seenFrame = 0
            next.writer.seenSalt = 0
            visit(next, nil) { "writer: takes WRITE" }
        } else {
            next.wal.endRead(world.writer.lock)
            next.writer = Writer()
            visit(next, nil) { "writer: gets BUSY, ends" }
        }
    }

    /// wal.c walRestartLog, for a writer on lock 0.
    private func restartLog(_ world: World, _ visit: Visit) {
        var next = world
        if world.wal.nBackfill > 0, world.wal.areMarksFree(slots: bounds.slots) {
            guard world.wal.salt < bounds.salts else { return }
            let loss = world.agent.lossAtReset(world.wal)
            next.wal.publishReset()
            next.wal.mayDrawSalts = false
            next.wal.isResetting = true
            next.writer.step = .resetting
            visit(next, loss) { "writer: resets the WAL, salt=\(next.wal.salt)" }
            guard world.writerCrashes < bounds.writerCrashes else { return }
            next = world
            next.wal.isTorn = true
            kill(&next)
            visit(next, nil) { "writer: dies while it publishes the reset" }
        } else {
            next.wal.endRead(0)
            guard let lock = next.wal.beginRead(slots: bounds.slots, useWAL: true) else { return }
            next.writer.lock = lock
            next.writer.step = .writing
            visit(next, nil) { "writer: goes from lock 0 to lock \(lock)" }
        }
    }

    private func finishReset(_ world: World, _ visit: Visit) {
        var next = world
        next.wal.clearCheckpointInfo(slots: bounds.slots)
        next.wal.isResetting = false
        next.wal.endRead(0)
        next.writer.lock = next.wal.beginRead(slots: bounds.slots, useWAL: true) ?? WALModel.none
        next.writer.step = .writing
        visit(next, nil) { "writer: the reset is complete" }
    }

    private func chooseKind(_ world: World, _ visit: Visit) {
        let count = world.wal.pageCount(world.wal.commits)
        for kind in WALModel.Kind.allCases where kind != .shrink || count == 2 {
            guard Int(world.wal.mxFrame) + kind.pages.count <= bounds.frames else { continue }
            var salts = [world.wal.salt]
            if world.wal.mxFrame == 0, world.wal.mayDrawSalts, world.wal.salt < bounds.salts {
                salts.append(world.wal.salt + 1)
            }
            for salt in salts {
                var next = world
                next.writer.kind = kind.rawValue
                next.writer.salt = salt
                writeFrame(&next)
                visit(next, nil) { "writer: \(kind), frame \(world.wal.mxFrame + 1)" }
            }
        }
        // The bound of the model: nothing fits, roll back.
        guard world.wal.mxFrame >= bounds.frames else { return }
        var next = world
        end(&next)
        visit(next, nil) { "writer: rolls back" }
    }

    private func writeFrame(_ world: inout World) {
        let kind = WALModel.Kind(rawValue: world.writer.kind)!
        let count = world.wal.pageCount(world.wal.commits)
        let after: UInt8 = kind == .shrink ? 1 : (kind == .first ? count : 2)
        let number = Int(world.writer.written)
        world.writer.written += 1
        world.wal.write(
            frame: world.wal.mxFrame + world.writer.written,
            page: kind.pages[number],
            salt: world.writer.salt,
            size: number + 1 == kind.pages.count ? after : 0,
            frames: bounds.frames
        )
    }

    private func goOn(_ world: World, _ visit: Visit) {
        let kind = WALModel.Kind(rawValue: world.writer.kind)!
        var next = world
        if Int(world.writer.written) < kind.pages.count {
            writeFrame(&next)
            visit(next, nil) { "writer: frame \(world.wal.mxFrame + next.writer.written)" }
            return
        }
        next.wal.mxFrame += world.writer.written
        next.wal.salt = world.writer.salt
        next.wal.mayDrawSalts = false
        next.wal.publish(kind)
        end(&next)
        visit(next, nil) { "writer: publishes mxFrame=\(next.wal.mxFrame), \(kind), ends" }
        guard world.writerCrashes < bounds.writerCrashes else { return }
        next = world
        next.wal.isTorn = true
        kill(&next)
        visit(next, nil) { "writer: dies while it publishes" }
    }

    private func end(_ world: inout World) {
        world.wal.endRead(world.writer.lock)
        world.wal.writeHolder = 0
        world.writer = Writer()
    }

    private func kill(_ world: inout World) {
        if world.wal.mxFrame == 0 { world.wal.mayDrawSalts = true }
        world.wal.isResetting = false
        end(&world)
        world.writerCrashes += 1
    }

    private func die(_ world: World, _ visit: Visit) {
        guard world.writerCrashes < bounds.writerCrashes, world.writer.step != .resetting
        else { return }
        var next = world
        kill(&next)
        visit(next, nil) { "writer: dies or rolls back" }
    }
}
