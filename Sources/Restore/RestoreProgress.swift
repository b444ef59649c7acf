import Synchronization

/// How far a restore has come, for whoever shows it.
package final class RestoreProgress: Sendable {
    /// What a restore is doing.
    package enum Phase: String, Sendable {
        case planning
        case fetching
        case applying
        case verifying
        case checking
        case publishing
    }

    /// A moment of a restore.
    package struct Reading: Sendable {
        /// What it is doing.
        package var phase = Phase.planning
        /// Bytes of the phase that are done: of objects while fetching, of the file otherwise.
        package var done: UInt64 = 0
        /// Bytes of the phase; zero when that is not known.
        package var total: UInt64 = 0
        /// Bytes fetched from the store in all phases.
        package var fetched: UInt64 = 0
    }

    private let state = Mutex(Reading())

    /// A restore that has not begun.
    package init() {}

    /// Where it is now.
    package var reading: Reading { state.withLock { $0 } }

    /// Begins a phase of `total` bytes.
    package func begin(_ phase: Phase, total: UInt64 = 0) {
        state.withLock {
            $0.phase = phase
            $0.done = 0
            $0.total = total
        }
    }

    /// Counts bytes that came from the store.
    package func fetched(_ bytes: UInt64) {
        state.withLock {
            $0.fetched += bytes
            if $0.phase == .fetching { $0.done += bytes }
        }
    }

    /// Counts bytes of the phase.
    package func advance(_ bytes: UInt64) { state.withLock { $0.done += bytes } }
}
