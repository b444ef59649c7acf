/// One connection that checkpoints (wal.c sqlite3WalCheckpoint, walCheckpoint), step by step. It
/// may be stalled anywhere.
struct Checkpointer: Hashable, Sendable {
    enum Step: UInt8, Sendable {
        case idle, holdsCheckpoint, readHeader, marks, iterator, lock0, copying, backfilled, restart
    }

    enum Outcome: UInt8, Sendable { case none, done, busy }

    var step = Step.idle
    var isTruncate = false
    /// WRITE could not be had: a PASSIVE that says busy.
    var isDegraded = false
    /// The header as it was read: the bug is that it may be old.
    var frame: UInt8 = 0
    var pageCount: UInt8 = 0
    var safe: UInt8 = 0
    var slot: UInt8 = 0
    var from: UInt8 = 0
    /// Frame of each page, as found by the iterator.
    var found = PackedBytes()
    /// What the agent's own one returned.
    var outcome = Outcome.none
}

extension Rules {
    func checkpointerSteps(_ world: World, _ number: UInt8, _ visit: Visit) {
        let isOwn = number == World.ownNumber
        let name = isOwn ? "agent's checkpoint" : "checkpointer \(number + 1)"
        let state = world[checkpointer: number]
        switch state.step {
        case .idle: if !isOwn { startApplication(world, number, visit) }
        case .holdsCheckpoint: takeHeader(world, number, name, visit)
        case .readHeader: compare(world, number, name, visit)
        case .marks: markStep(world, number, name, visit)
        case .iterator: buildIterator(world, number, name, visit)
        case .lock0: takeLock0(world, number, name, visit)
        case .copying: copyPage(world, number, name, visit)
        case .backfilled:
            var next = world
            next.wal.isLock0Exclusive = false
            afterBackfill(&next, number)
            visit(next, nil) { "\(name): releases lock 0" }
        case .restart: restart(world, number, name, visit)
        }
        if !isOwn, state.step != .idle, world.checkpointerCrashes < bounds.checkpointerCrashes {
            var next = world
            if state.step == .copying || state.step == .backfilled {
                next.wal.isLock0Exclusive = false
            }
            end(&next, number, .none)
            next.checkpointerCrashes += 1
            visit(next, nil) { "\(name): is killed" }
        }
    }

    private func startApplication(_ world: World, _ number: UInt8, _ visit: Visit) {
        guard world.wal.checkpointHolder == 0 else { return }
        for isTruncate in [false, true] {
            var next = world
            start(&next, number, isTruncate: isTruncate)
            visit(next, nil) {
                "checkpointer \(number + 1): \(isTruncate ? "TRUNCATE" : "PASSIVE") takes CKPT"
            }
        }
    }

    /// Takes CKPT, which must be free.
    func start(_ world: inout World, _ number: UInt8, isTruncate: Bool) {
        world.wal.checkpointHolder = number + 1
        world[checkpointer: number].step = .holdsCheckpoint
        world[checkpointer: number].isTruncate = isTruncate
    }

    private func end(_ world: inout World, _ number: UInt8, _ outcome: Checkpointer.Outcome) {
        if world.wal.writeHolder == number + 2 { world.wal.writeHolder = 0 }
        if world.wal.checkpointHolder == number + 1 { world.wal.checkpointHolder = 0 }
        let isDegraded = world[checkpointer: number].isDegraded
        world[checkpointer: number] = Checkpointer()
        guard number == World.ownNumber else { return }
        world.own.outcome = isDegraded && outcome == .done ? .busy : outcome
    }

    private func takeHeader(_ world: World, _ number: UInt8, _ name: String, _ visit: Visit) {
        let state = world[checkpointer: number]
        var next = world
        if state.isTruncate, !state.isDegraded, world.wal.writeHolder != number + 2 {
            if world.wal.writeHolder == 0 {
                next.wal.writeHolder = number + 2
                visit(next, nil) { "\(name): takes WRITE" }
            } else {
                next[checkpointer: number].isDegraded = true
                next[checkpointer: number].isTruncate = false
                visit(next, nil) { "\(name): WRITE is busy, goes on as PASSIVE" }
            }
            return
        }
        guard !world.wal.isTorn else { return }
        next[checkpointer: number].frame = world.wal.mxFrame
        next[checkpointer: number].pageCount = world.wal.pageCount(world.wal.commits)
        next[checkpointer: number].step = .readHeader
        visit(next, nil) { "\(name): reads the header, mxFrame=\(world.wal.mxFrame)" }
    }

    private func compare(_ world: World, _ number: UInt8, _ name: String, _ visit: Visit) {
        let state = world[checkpointer: number]
        var next = world
        if world.wal.nBackfill < state.frame {
            next[checkpointer: number].safe = state.frame
            next[checkpointer: number].slot = 1
            next[checkpointer: number].step = .marks
        } else {
            afterBackfill(&next, number)
        }
        visit(next, nil) { "\(name): compares nBackfill=\(world.wal.nBackfill)" }
    }

    /// A reader's mark below the safe frame lowers it; a free one is moved out of the way.
    private func markStep(_ world: World, _ number: UInt8, _ name: String, _ visit: Visit) {
        var state = world[checkpointer: number]
        var next = world
        let mark = world.wal.marks[state.slot]
        if mark != WALModel.none, state.safe > mark {
            if world.wal.holders[state.slot] > 0 || world.wal.isResetting {
                // A TRUNCATE would wait here; giving up is one of the things that it may do, and
                // waiting is staying in this state.
                state.safe = mark
            } else {
                next.wal.marks[state.slot] = state.slot == 1 ? state.safe : WALModel.none
            }
        }
        state.slot += 1
        if state.slot > UInt8(bounds.slots) {
            state.slot = 0
            state.step = .iterator
        }
        next[checkpointer: number] = state
        visit(next, nil) { "\(name): looks at a mark, safe=\(state.safe)" }
    }

    private func buildIterator(_ world: World, _ number: UInt8, _ name: String, _ visit: Visit) {
        var state = world[checkpointer: number]
        var next = world
        guard world.wal.nBackfill < state.safe else {
            afterBackfill(&next, number)
            visit(next, nil) { "\(name): nothing is safe to copy" }
            return
        }
        // wal.c walIteratorInit: the hash tables as they are now, up to the header's old mxFrame.
        for page in UInt8(1)...2 {
            state.found[page] = world.wal.newestFrame(page, atOrBelow: state.frame)
        }
        state.step = .lock0
        next[checkpointer: number] = state
        visit(next, nil) { "\(name): lists frames up to \(state.frame)" }
    }

    private func takeLock0(_ world: World, _ number: UInt8, _ name: String, _ visit: Visit) {
        var next = world
        let state = world[checkpointer: number]
        if world.wal.holders[0] > 0 {
            afterBackfill(&next, number)
            visit(next, nil) { "\(name): lock 0 is busy" }
            return
        }
        next.wal.isLock0Exclusive = true
        next.wal.nBackfillAttempted = state.safe
        next[checkpointer: number].from = world.wal.nBackfill
        next[checkpointer: number].slot = 1
        next[checkpointer: number].step = .copying
        visit(next, nil) { "\(name): takes lock 0, nBackfillAttempted=\(state.safe)" }
    }

    private func copyPage(_ world: World, _ number: UInt8, _ name: String, _ visit: Visit) {
        let state = world[checkpointer: number]
        var next = world
        if state.slot <= 2 {
            let frame = state.found[state.slot]
            if frame > state.from, frame <= state.safe, state.slot <= state.pageCount {
                next.wal.file[state.slot] = world.wal.frameContent[frame]
            }
            next[checkpointer: number].slot += 1
            visit(next, nil) { "\(name): copies page \(state.slot) from frame \(frame)" }
            return
        }
        // wal.c walCheckpoint: the file is cut when everything was copied.
        if state.safe == world.wal.mxFrame, state.pageCount == 1 { next.wal.file[2] = 0 }
        next.wal.nBackfill = state.safe
        next[checkpointer: number].step = .backfilled
        visit(next, nil) { "\(name): nBackfill=\(state.safe)" }
    }

    private func afterBackfill(_ world: inout World, _ number: UInt8) {
        if world[checkpointer: number].isTruncate {
            let state = world[checkpointer: number]
            var later = Checkpointer()
            later.step = .restart
            later.isTruncate = true
            later.frame = state.frame
            world[checkpointer: number] = later
        } else {
            end(&world, number, .done)
        }
    }

    private func restart(_ world: World, _ number: UInt8, _ name: String, _ visit: Visit) {
        let state = world[checkpointer: number]
        var next = world
        if world.wal.nBackfill >= state.frame, world.wal.areMarksFree(slots: bounds.slots),
            world.wal.salt < bounds.salts
        {
            let loss = world.agent.lossAtReset(world.wal)
            next.wal.publishReset()
            next.wal.clearCheckpointInfo(slots: bounds.slots)
            next.wal.mayDrawSalts = true
            next.wal.truncate()
            end(&next, number, .done)
            visit(next, loss) { "\(name): resets and truncates the WAL, salt=\(next.wal.salt)" }
            return
        }
        end(&next, number, .busy)
        visit(next, nil) { "\(name): returns busy" }
    }
}
