package import Bytes
package import Platform

/// Time and chance, so that tests can have their own.
package struct ClientClock: Sendable {
    /// The wall clock.
    package var now: @Sendable () -> Timestamp
    /// The monotonic clock.
    package var monotonic: @Sendable () -> MonotonicTime
    /// Lets milliseconds pass; ends early, with an error, when the task is cancelled.
    package var sleep: @Sendable (Int64) async throws -> Void
    /// A number from 0 to 1.
    package var random: @Sendable () -> Double

    /// The machine's.
    package static let system = ClientClock(
        now: { .now },
        monotonic: { .now },
        sleep: { try await Task.sleep(for: .milliseconds($0)) },
        random: { Double.random(in: 0...1) }
    )

    /// Time and chance of the caller's.
    package init(
        now: @Sendable @escaping () -> Timestamp,
        monotonic: @Sendable @escaping () -> MonotonicTime,
        sleep: @Sendable @escaping (Int64) async throws -> Void,
        random: @Sendable @escaping () -> Double
    ) {
        self.now = now
        self.monotonic = monotonic
        self.sleep = sleep
        self.random = random
    }
}
