/// Work that has to be finished although its task was cancelled: cleaning up.
package enum CancellationShield {
    /// Runs `body` where the caller's cancellation does not reach, and waits for it. The body
    /// bounds its own time.
    package static func run<T: Sendable>(
        _ body: @Sendable @escaping () async -> T
    ) async -> T {
        await Task { await body() }.value
    }
}
