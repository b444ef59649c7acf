import Synchronization

/// Lets a limited number of tasks in at a time, in the order in which they came.
package final class TaskGate: Sendable {
    private struct State {
        var free: Int
        var waiting: [Int: Waiter] = [:]
        var first = 0
        var next = 0
    }

    private let state: Mutex<State>

    /// A gate for `width` tasks.
    package init(width: Int) {
        precondition(width > 0, "a gate lets somebody in")
        state = Mutex(State(free: width))
    }

    /// Tasks that wait.
    var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// Runs `body` once there is room for it.
    package func enter<T>(_ body: () async throws -> T) async rethrows -> T {
        await acquire()
        defer { release() }
        return try await body()
    }

    /// Waits for a place until a stop is requested or the task is cancelled; false when no place
    /// was taken.
    package func acquire(until stop: StopRequest) async -> Bool {
        guard !stop.isRequested, !Task.isCancelled else { return false }
        let ticket = state.withLock { state -> (number: Int, waiter: Waiter)? in
            if state.free > 0 {
                state.free -= 1
                return nil
            }
            defer { state.next += 1 }
            let waiter = Waiter()
            state.waiting[state.next] = waiter
            return (state.next, waiter)
        }
        guard let ticket else { return true }
        let hasLeft = Atomic(false)
        // Whoever was let in already is not: its place is in nobody's way.
        let leave: @Sendable () -> Void = { [self] in
            let left = state.withLock { $0.waiting.removeValue(forKey: ticket.number) }
            guard let left else { return }
            hasLeft.store(true, ordering: .releasing)
            left.resume()
        }
        let key = stop.observe(leave)
        await withTaskCancellationHandler {
            await ticket.waiter.wait()
        } onCancel: {
            leave()
        }
        stop.forget(key)
        return !hasLeft.load(ordering: .acquiring)
    }

    /// Waits for a place. Each one that was taken is given back with `release`.
    package func acquire() async {
        let waiter = state.withLock { state -> Waiter? in
            if state.free > 0 {
                state.free -= 1
                return nil
            }
            let waiter = Waiter()
            state.waiting[state.next] = waiter
            state.next += 1
            return waiter
        }
        await waiter?.wait()
    }

    /// Gives a place back; the first who waits gets it.
    package func release() {
        let waiter = state.withLock { state -> Waiter? in
            while state.first < state.next {
                defer { state.first += 1 }
                // Some have gone away since.
                if let waiter = state.waiting.removeValue(forKey: state.first) { return waiter }
            }
            state.free += 1
            return nil
        }
        waiter?.resume()
    }
}
