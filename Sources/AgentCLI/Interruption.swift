import Glibc
import Platform

/// Runs work that SIGINT and SIGTERM cancel.
enum Interruption {
    /// Runs `body`; the first signal cancels it: it ends with `CancellationError`. A second
    /// signal ends the process at once with exit code 130.
    static func run<T: Sendable>(
        on executor: ThreadExecutor,
        _ body: @Sendable @escaping () async throws -> T
    ) async throws -> T {
        let signals = try SignalPipe(signals: [SIGTERM, SIGINT], secondExitCode: 130)
        let finished = try WakeUp()
        let descriptor = signals.descriptor.rawValue
        let value = try await withThrowingTaskGroup(of: T?.self) { group in
            group.addTask(executorPreference: executor) {
                let came = try SignalPipe.wait(descriptor, or: finished.descriptor.rawValue)
                if came { throw CancellationError() }
                return nil
            }
            group.addTask(executorPreference: executor) {
                defer { finished.raise() }
                return try await body()
            }
            var result: T?
            // The first failure cancels the other task; its own failure is of no interest.
            while let value = try await group.next() { result = value ?? result }
            guard let result else { throw CancellationError() }
            return result
        }
        _ = consume signals
        return value
    }
}
