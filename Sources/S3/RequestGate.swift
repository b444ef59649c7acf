import Synchronization

/// Bounds how many requests are under way. When the store asks for less the bound is halved; it
/// grows back by one with every ten successes.
package final class RequestGate: Sendable {
    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var limit: Int
        var active = 0
        var waiters: [Waiter] = []
        var lastID: UInt64 = 0
        var cancelled: Set<UInt64> = []
        var successes = 0
    }

    private let limitMax: Int
    private let state: Mutex<State>

    /// A gate that lets `limit` through at once.
    package init(limit: Int) {
        limitMax = max(1, limit)
        state = Mutex(State(limit: max(1, limit)))
    }

    /// How many requests may be under way now.
    package var limit: Int { state.withLock { $0.limit } }

    /// Waits for a place; false when the task was cancelled meanwhile, and then there is none.
    package func enter() async -> Bool {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Bool? in
                    if state.cancelled.remove(id) != nil { return false }
                    if state.active < state.limit, state.waiters.isEmpty {
                        state.active += 1
                        return true
                    }
                    state.waiters.append(Waiter(id: id, continuation: continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard let index = state.waiters.firstIndex(where: { $0.id == id }) else {
                    // Not waiting yet, or admitted already; the latter leaves as usual.
                    state.cancelled.insert(id)
                    return nil
                }
                return state.waiters.remove(at: index)
            }
            waiter?.continuation.resume(returning: false)
        }
    }

    /// Gives the place back. `throttled`: the store asked for less; nil: it said nothing of that.
    package func leave(throttled: Bool?) {
        let admitted = state.withLock { state -> [Waiter] in
            state.active -= 1
            if throttled == true {
                state.limit = max(1, state.limit / 2)
                state.successes = 0
            } else if throttled == false, state.limit < limitMax {
                state.successes += 1
                if state.successes >= 10 {
                    state.limit += 1
                    state.successes = 0
                }
            }
            var admitted: [Waiter] = []
            while state.active < state.limit, !state.waiters.isEmpty {
                state.active += 1
                admitted.append(state.waiters.removeFirst())
            }
            if state.active == 0, state.waiters.isEmpty { state.cancelled.removeAll() }
            return admitted
        }
        for waiter in admitted { waiter.continuation.resume(returning: true) }
    }
}
