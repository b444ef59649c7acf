import Synchronization

/// Counts answers of several parties, and says when the last one has come.
package final class Tally: Sendable {
    private let state: Mutex<(open: Int, failed: Int)>
    private let whenAll: @Sendable () -> Void

    /// Waits for `count` answers.
    package init(_ count: Int, whenAll: @Sendable @escaping () -> Void) {
        state = Mutex((count, 0))
        self.whenAll = whenAll
    }

    /// True once all answers have come and all were good.
    var allDurable: Bool { state.withLock { $0.open == 0 && $0.failed == 0 } }

    /// An answer came.
    package func add(_ isDurable: Bool) {
        let isLast = state.withLock { state -> Bool in
            state.open -= 1
            if !isDurable { state.failed += 1 }
            return state.open == 0
        }
        if isLast { whenAll() }
    }
}
