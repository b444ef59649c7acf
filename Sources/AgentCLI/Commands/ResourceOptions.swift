import ArgumentParser
import Glibc
import Platform
import Restore
import SQLiteAccess

/// What a restore may use, and how a file is checked in the end.
struct ResourceOptions: ParsableArguments {
    @Option(
        name: .both("parallelism"),
        help: "Requests in flight, from 1 to \(Restore.Limits.maxParallelism)."
    )
    var parallelism = Restore.Limits.defaultParallelism

    @Option(
        name: .both("memory-limit"),
        help: "Memory for pages and objects, 32MiB or more; default 256MiB."
    )
    var memoryLimit: String?

    @Option(
        name: .both("integrity-check"),
        help: "Let SQLite check the file before it is published: none, quick or full."
    )
    var integrityCheck = "none"

    func memoryBytes() throws -> Int {
        guard let memoryLimit else { return Restore.Limits.defaultMemoryBytes }
        let bytes = try ByteCountArgument.parse(memoryLimit)
        guard bytes >= Restore.Limits.minMemoryBytes else {
            throw ValidationError("The memory limit must be 32MiB or more.")
        }
        return bytes
    }

    private func checkDepth() throws -> IntegrityCheck.Depth? {
        if integrityCheck == "none" { return nil }
        guard let depth = IntegrityCheck.Depth(rawValue: integrityCheck) else {
            throw ValidationError(
                "The integrity check '\(integrityCheck)' is none of none, quick, full."
            )
        }
        return depth
    }

    func validate() throws {
        _ = try memoryBytes()
        _ = try checkDepth()
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

    /// Lets a restore use what was said here.
    func configure(_ restorer: inout Restorer, on executor: ThreadExecutor) throws {
        restorer.parallelism = parallelism
        restorer.memoryBytes = try memoryBytes()
        restorer.warn = { StandardError.write("warning: \($0)\n") }
        if let depth = try checkDepth() {
            restorer.check = SQLiteCheck.closure(depth, on: executor)
        }
    }
}
