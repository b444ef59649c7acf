package import Bytes

/// The time, the pauses and the chance that the engine meets, when they are not the machine's.
///
/// A simulation binds one around everything that it runs. What the engine would wait for, the
/// simulation lets happen, so that one seed gives one history (docs/PROOF.md). It is bound to a
/// task rather than passed along, so that no code of the engine can forget to pass it on: whoever
/// asks for `MonotonicTime.now`, `Timestamp.now`, a pause or a random number is answered by it.
package protocol Surroundings: Sendable {
    /// The monotonic clock.
    var monotonicTime: MonotonicTime { get }
    /// The wall clock.
    var wallTime: Timestamp { get }
    /// A number that nobody can guess.
    func random() -> UInt64
    /// Lets the time pass while the calling thread waits.
    func pause(nanoseconds: Int64)
    /// Lets the time pass while the calling task waits.
    func sleep(nanoseconds: Int64) async throws
}

/// Where simulated surroundings are bound.
package enum Simulation {
    /// Those of the calling task; nil in earnest.
    @TaskLocal package static var surroundings: (any Surroundings)?
}

/// Chance, the machine's or a simulation's.
package enum Chance {
    /// 64 random bits.
    package static func bits() -> UInt64 {
        Simulation.surroundings?.random() ?? .random(in: 0...UInt64.max)
    }
}

/// Waiting in a task.
package enum Pause {
    /// Returns after `nanoseconds`, or throws when the task is cancelled.
    package static func sleep(nanoseconds: Int64) async throws {
        if let surroundings = Simulation.surroundings {
            return try await surroundings.sleep(nanoseconds: nanoseconds)
        }
        try await Task.sleep(for: .nanoseconds(nanoseconds))
    }
}
