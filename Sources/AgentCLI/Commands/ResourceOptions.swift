import ArgumentParser
import Glibc
import Platform
import Restore
import SQLiteAccess

/// What a restore may use.
struct ResourceOptions: ParsableArguments {
    @Option(
        name: .both("parallelism"),
        help: "Requests in flight, from 1 to \(Restore.Limits.maxParallelism)."
    )
    var parallelism = Restore.Limits.defaultParallelism

    @Option(
        name: .both("memory-limit"),
        help: """
            Memory for pages and objects, 32MiB or more; by default a quarter of what this process \
            may have, and at most 512MiB.
            """
    )
    var memoryLimit: String?

    func memoryBytes() throws -> Int {
        guard let memoryLimit else { return Self.defaultMemoryBytes(of: Memory.limit) }
        let bytes = try ByteCountArgument.parse(memoryLimit)
        guard bytes >= Restore.Limits.minMemoryBytes else {
            throw ValidationError("The memory limit must be 32MiB or more.")
        }
        return bytes
    }

    /// A quarter of what this process may have; what is more than the most that helps is left.
    static func defaultMemoryBytes(of limit: UInt64) -> Int {
        let most = UInt64(Restore.Limits.defaultMemoryBytes)
        return Int(max(UInt64(Restore.Limits.minMemoryBytes), min(most, limit / 4)))
    }

    func validate() throws {
        _ = try memoryBytes()
        guard (1...Restore.Limits.maxParallelism).contains(parallelism) else {
            throw ValidationError(
                "The parallelism must be from 1 to \(Restore.Limits.maxParallelism)."
            )
        }
    }

    /// Threads for requests, decoding, signals and progress.
    ///
    /// Decoding fills the cores, and more threads than that only wait for each other; requests in
    /// flight hold none.
    func executor() -> ThreadExecutor {
        Memory.keepFreed()
        let cores = max(1, min(parallelism, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        return ThreadExecutor(threads: cores + 3)
    }

    /// Where warnings of a restore go.
    static let warn: @Sendable (String) -> Void = { StandardError.write("warning: \($0)\n") }

    /// Lets a restore use what was said here.
    func configure(_ restorer: inout Restorer, on executor: ThreadExecutor) throws {
        restorer.parallelism = parallelism
        restorer.memoryBytes = try memoryBytes()
        restorer.warn = Self.warn
    }
}

/// How SQLite checks a file in the end.
struct IntegrityOptions: ParsableArguments {
    @Option(
        name: .both("integrity-check"),
        help: """
            Let SQLite check the restored file: none, quick or full; by default 'verify' does so \
            in full, and other commands do not.
            """
    )
    var integrityCheck: String?

    /// The check that was asked for, `otherwise` where none was named; nil for none.
    func depth(otherwise: IntegrityCheck.Depth?) throws -> IntegrityCheck.Depth? {
        guard let integrityCheck else { return otherwise }
        if integrityCheck == "none" { return nil }
        guard let depth = IntegrityCheck.Depth(rawValue: integrityCheck) else {
            throw ValidationError(
                "The integrity check '\(integrityCheck)' is none of none, quick, full."
            )
        }
        return depth
    }

    func validate() throws { _ = try depth(otherwise: nil) }

    /// Lets a restore check its file.
    func configure(_ restorer: inout Restorer, on executor: ThreadExecutor) throws {
        if let depth = try depth(otherwise: nil) {
            restorer.check = SQLiteCheck.closure(depth, on: executor)
        }
    }
}
