import Platform
import Synchronization

/// Asks for an end; any thread may. Who waits is told at once.
package final class StopRequest: Sendable {
    private struct State {
        var isMade = false
        var shutdownTime: Int64?
        var observers: [Int: @Sendable () -> Void] = [:]
        var nextKey = 0
    }

    private let state = Mutex(State())

    /// A request that has not been made.
    package init() {}

    /// True once it was made.
    package var isRequested: Bool { state.withLock { $0.isMade } }

    /// How long the last upload may take, in nanoseconds, if the request says so.
    package var shutdownTime: Int64? { state.withLock { $0.shutdownTime } }

    /// Makes it. `shutdownTime` is how long the last upload may take, in nanoseconds; nil leaves
    /// what was configured.
    package func request(shutdownTime: Int64? = nil) {
        let observers = state.withLock { state -> [@Sendable () -> Void] in
            if let shutdownTime { state.shutdownTime = shutdownTime }
            state.isMade = true
            defer { state.observers = [:] }
            return Array(state.observers.values)
        }
        for observer in observers { observer() }
    }

    /// Runs `body` once when the request is made, or now if it was. Returns what `forget` takes.
    package func observe(_ body: @Sendable @escaping () -> Void) -> Int {
        let key = state.withLock { state -> Int? in
            if state.isMade { return nil }
            state.nextKey += 1
            state.observers[state.nextKey] = body
            return state.nextKey
        }
        if key == nil { body() }
        return key ?? 0
    }

    /// Ends an observation.
    package func forget(_ key: Int) {
        _ = state.withLock { $0.observers.removeValue(forKey: key) }
    }

    /// Suspends until the request is made, the task is cancelled, or the time has passed.
    package func pause(nanoseconds: Int64) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await Pause.sleep(nanoseconds: nanoseconds) }
            group.addTask { await self.made() }
            await group.next()
            group.cancelAll()
        }
    }

    /// Suspends until the request is made or the task is cancelled.
    package func made() async {
        let waiter = Waiter()
        let key = observe { waiter.resume() }
        await withTaskCancellationHandler {
            await waiter.wait()
        } onCancel: {
            waiter.resume()
        }
        forget(key)
    }
}

/// One suspended task that may be resumed by several parties, before or after it suspends.
final class Waiter: Sendable {
    private struct State {
        var isResumed = false
        var continuation: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func resume() {
        let continuation = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.isResumed = true
            return state.continuation.take()
        }
        continuation?.resume()
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isResumed = state.withLock { state -> Bool in
                if !state.isResumed { state.continuation = continuation }
                return state.isResumed
            }
            if isResumed { continuation.resume() }
        }
    }
}
