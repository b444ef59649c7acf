import Platform
import Synchronization

/// Who polls when the thread that does rounds is held up unexpectedly.
extension FollowerLoop {
    /// What the standby has to know. Under the loop's lock.
    struct Standby {
        /// Since when a thread has been at rounds while nobody polls.
        private(set) var aloneSince: MonotonicTime?
        /// When that last began.
        private var lastBegan = MonotonicTime(nanoseconds: 0)
        /// Whether the standby looks every now and then.
        private var isAwake = false
        /// Whether a thread is on its way to do what waits, or to poll.
        private(set) var isHandedOver = false

        /// Rounds without events for so long let the standby sleep.
        private static let quietTime = Nanoseconds.second

        /// A thread begins rounds, and nobody polls. True when the standby has to be woken up.
        mutating func roundBegan(_ now: MonotonicTime) -> Bool {
            aloneSince = now
            lastBegan = now
            defer { isAwake = true }
            return !isAwake
        }

        /// Somebody polls.
        mutating func pollBegan() { aloneSince = nil }

        /// Another thread is woken up.
        mutating func handedOver() { isHandedOver = true }

        /// A thread begins something.
        mutating func tookOver() { isHandedOver = false }

        /// False when the standby may sleep.
        mutating func goesOn(_ now: MonotonicTime) -> Bool {
            isAwake = aloneSince != nil || now - lastBegan < Self.quietTime
            return isAwake
        }
    }

    /// What is not expected to take long holds others up for this long at most.
    private static let standbyInterval = 250 * Nanoseconds.millisecond

    func standBy() -> Never {
        while true {
            watched.wait()
            while state.withLock({ $0.standby.goesOn(.now) }) {
                try? Readiness.pause(nanoseconds: Self.standbyInterval)
                let now = MonotonicTime.now
                let isHeldUp = state.withLock { state in
                    state.standby.aloneSince.map { now - $0 >= Self.standbyInterval } ?? false
                }
                if isHeldUp { handOver() }
            }
        }
    }

    /// Lets another thread do what waits, and poll, if nobody does: the calling one is about to do
    /// what may take long.
    func handOver() {
        let signals = state.withLock { state in
            guard !state.isPolling || state.hasReady, !state.standby.isHandedOver,
                state.idleThreads > 0
            else { return false }
            state.idleThreads -= 1
            state.standby.handedOver()
            return true
        }
        if signals { idle.signal() }
    }
}
