import Synchronization

/// Counts requests from zero, for hooks.
final class RequestCount: Sendable {
    private let count = Mutex(-1)

    /// The number of this request.
    func next() -> Int {
        count.withLock {
            $0 += 1
            return $0
        }
    }
}
