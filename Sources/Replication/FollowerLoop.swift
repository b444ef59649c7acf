package import Platform
import Synchronization

/// A few threads that drive many followers by their rounds, none of which waits.
///
/// One thread at a time polls for file events and deadlines. When something has come it does the
/// round itself, so that one event of one database needs no change of threads, and polls again. A
/// round that takes long (a large transaction, a slow disk) holds up one thread and no other
/// database: before it begins what may take long another thread takes the poll over, and a
/// standby sees to it where nobody expected it. A follower is only ever in the hands of one thread.
package final class FollowerLoop: Sendable {
    struct State {
        var followers: [Int: HostedFollower] = [:]
        var ready: [HostedFollower] = []
        var readyHead = 0
        var deadlines = DeadlineHeap()
        var isPolling = false
        var pollUntil = MonotonicTime(nanoseconds: 0)
        var idleThreads = 0
        var nextID = 0
        var standby = Standby()
    }

    let state = Mutex(State())
    let events: FileEvents
    let idle = Semaphore()
    /// Wakes the standby.
    let watched = Semaphore()
    private let wakeUp: WakeUp

    /// Without anything to wait for the poll is renewed after this.
    private static let pollMax = 60 * Nanoseconds.second
    /// A deadline this close is waited for by the thread that has the follower.
    private static let napMax = 250 * Nanoseconds.microsecond
    /// Followers that may wait for a thread before another one joins in: most rounds are short.
    private static let readyMax = 8
    /// Rounds of one follower that go on for longer need somebody else who polls.
    private static let aloneMax = Nanoseconds.millisecond

    /// A loop with `threads` threads, which end with the process.
    package init(threads: Int) throws(SystemError) {
        precondition(threads > 1, "one thread polls while another works")
        events = try FileEvents()
        wakeUp = try WakeUp()
        for _ in 0..<threads { WorkerThread.start { self.work() } }
        WorkerThread.start { self.standBy() }
    }

    // MARK: - Threads

    private enum Action {
        case run(HostedFollower, handsOver: Bool, wakesStandby: Bool)
        case poll(nanoseconds: Int64)
        case sleep
    }

    private func work() -> Never {
        Readiness.pauseExactly()
        while true {
            switch state.withLock({ Self.nextAction(&$0) }) {
            case .run(let hosted, let handsOver, let wakesStandby):
                if handsOver { idle.signal() }
                if wakesStandby { watched.signal() }
                run(hosted)
            case .poll(let nanoseconds): poll(nanoseconds)
            case .sleep: idle.wait()
            }
        }
    }

    private static func nextAction(_ state: inout State) -> Action {
        if let hosted = state.popReady() {
            hosted.isQueued = false
            hosted.isRunning = true
            state.standby.tookOver()
            let handsOver = state.idleThreads > 0 && state.readyCount >= Self.readyMax
            if handsOver { state.idleThreads -= 1 }
            let isAlone = !state.isPolling && !handsOver
            let wakesStandby = isAlone && state.standby.roundBegan(.now)
            return .run(hosted, handsOver: handsOver, wakesStandby: wakesStandby)
        }
        if !state.isPolling {
            state.isPolling = true
            state.standby.tookOver()
            state.standby.pollBegan()
            let now = MonotonicTime.now
            state.pollUntil = min(state.deadlines.first ?? now + pollMax, now + pollMax)
            return .poll(nanoseconds: max(0, state.pollUntil - now))
        }
        state.idleThreads += 1
        return .sleep
    }

    private func poll(_ nanoseconds: Int64) {
        var found: [Int: WakeReason] = [:]
        // What a look at the events cannot say is left to the safety polls.
        if let ready = try? Readiness.wait(
            events.notify.descriptor.rawValue,
            wakeUp.descriptor.rawValue,
            nanoseconds: nanoseconds
        ) {
            if ready.second { wakeUp.lower() }
            if ready.first { found = (try? events.read()) ?? [:] }
        }
        let now = MonotonicTime.now
        let isInVain = state.withLock { state in
            for (id, reason) in found {
                if let hosted = state.followers[id] { state.enqueue(hosted, reason) }
            }
            while let hosted = state.deadlines.popDue(now) { state.enqueue(hosted, .deadline) }
            state.isPolling = !found.isEmpty && !state.hasReady
            return state.isPolling
        }
        guard isInVain else { return }
        // All that happened is about databases that threads are at already: a writer at full speed
        // raises an event with each frame, and would keep a core busy with nothing else.
        try? Readiness.pause(nanoseconds: Self.napMax)
        state.withLock { $0.isPolling = false }
    }

    /// Rounds of one follower until nothing is left to do for it, or others wait.
    private func run(_ hosted: HostedFollower) {
        let began = MonotonicTime.now
        while true {
            if MonotonicTime.now - began > Self.aloneMax { handOver() }
            let (reason, stopAt, syncs) = state.withLock { _ in hosted.takePending() }
            let next: MonotonicTime?
            do {
                next = try hosted.round(reason, stopAt: stopAt, syncs: syncs)
            } catch {
                return end(hosted, .failure(error))
            }
            guard let next else { return end(hosted, .success(())) }
            switch state.withLock({ Self.settle(hosted, until: next, &$0) }) {
            case .again: continue
            case .nap(let nanoseconds): try? Readiness.pause(nanoseconds: nanoseconds)
            case .later(let isSooner):
                if isSooner { wakeUp.raise() }
                return
            }
        }
    }

    private enum Settlement {
        case again
        case nap(nanoseconds: Int64)
        case later(isSoonerThanPoll: Bool)
    }

    /// What becomes of a follower after a round: it stays with its thread while nobody else waits
    /// for one and there is something to do at once.
    private static func settle(
        _ hosted: HostedFollower,
        until next: MonotonicTime,
        _ state: inout State
    ) -> Settlement {
        let now = MonotonicTime.now
        if next <= now { hosted.pending.insert(.deadline) }
        let isDue = !hosted.pending.isEmpty
        if !state.hasReady {
            if isDue { return .again }
            if next - now <= napMax {
                hosted.pending.insert(.deadline)
                return .nap(nanoseconds: next - now)
            }
        }
        hosted.isRunning = false
        if isDue {
            state.enqueue(hosted, [])
            return .later(isSoonerThanPoll: false)
        }
        // An entry that comes too early costs a look; one for each event would fill the heap.
        if hosted.deadline.map({ next < $0 }) ?? true {
            hosted.deadline = next
            state.deadlines.push(hosted, at: next)
        }
        return .later(isSoonerThanPoll: state.isPolling && next < state.pollUntil)
    }

    private func end(_ hosted: HostedFollower, _ result: Result<Void, any Error>) {
        state.withLock { state in
            state.followers[hosted.id] = nil
            hosted.isRunning = false
            hosted.deadline = nil
        }
        events.unwatch(hosted.id)
        hosted.finish(result)
    }

    // MARK: - Followers

    /// A number for a follower that is about to be made.
    func newSignal() -> FollowerSignal {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return FollowerSignal(id: id) { self.raise(id) }
    }

    /// Drives a follower until it ends: finished after a stop, or broken. `whenFollowed` is called
    /// once it can be asked to sync.
    func follow(
        _ hosted: HostedFollower,
        stop: StopRequest,
        whenFollowed: @Sendable () -> Void = {}
    ) async throws {
        // What cannot be watched is looked at more often.
        do throws(SystemError) {
            try events.watch(hosted.databasePath, for: hosted.id)
        } catch {
            hosted.watchFailed(error)
        }
        hosted.beforeLong { [unowned self] in handOver() }
        let key = stop.observe { self.finish(hosted, stop) }
        defer { stop.forget(key) }
        try await withCheckedThrowingContinuation { continuation in
            hosted.completion = continuation
            wake { state in
                state.followers[hosted.id] = hosted
                state.enqueue(hosted, [.wal, .signal])
            }
            whenFollowed()
        }
    }

    private func finish(_ hosted: HostedFollower, _ stop: StopRequest) {
        let time = stop.shutdownTime ?? hosted.shutdownTime
        wake { state in
            hosted.stopAt = MonotonicTime.now + time
            if state.followers[hosted.id] != nil { state.enqueue(hosted, .signal) }
        }
    }

    /// Asks a follower to make durable what is committed now, and to say when it is. False when it
    /// is not here.
    func sync(_ id: Int, _ request: SyncRequest) -> Bool {
        var isHere = false
        wake { state in
            guard let hosted = state.followers[id] else { return }
            isHere = true
            hosted.syncs.append(request)
            state.enqueue(hosted, .signal)
        }
        return isHere
    }

    /// Wakes a follower up; one that is not here is left alone.
    func raise(_ id: Int, _ reason: WakeReason = .signal) {
        wake { state in
            if let hosted = state.followers[id] { state.enqueue(hosted, reason) }
        }
    }

    /// Changes the state, and sees to it that a thread takes note.
    func wake(_ body: (inout State) -> Void) {
        let (signals, interrupts) = state.withLock { state -> (Bool, Bool) in
            let before = state.hasReady
            body(&state)
            guard state.hasReady, !before else { return (false, false) }
            if state.idleThreads > 0 {
                state.idleThreads -= 1
                return (true, false)
            }
            return (false, state.isPolling)
        }
        if signals { idle.signal() }
        if interrupts { wakeUp.raise() }
    }
}

extension FollowerLoop.State {
    var readyCount: Int { ready.count - readyHead }
    var hasReady: Bool { readyCount > 0 }

    mutating func popReady() -> HostedFollower? {
        guard hasReady else { return nil }
        let hosted = ready[readyHead]
        readyHead += 1
        if readyHead == ready.count {
            ready.removeAll(keepingCapacity: ready.count < 1024)
            readyHead = 0
        }
        return hosted
    }

    /// Notes a reason, and queues the follower unless a thread has it, which will look again.
    mutating func enqueue(_ hosted: HostedFollower, _ reason: WakeReason) {
        hosted.pending.formUnion(reason)
        guard !hosted.isQueued, !hosted.isRunning else { return }
        hosted.isQueued = true
        ready.append(hosted)
    }
}
