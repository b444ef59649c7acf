import CLinux
import Glibc
import Synchronization

/// A program that runs, prints, and ends.
package enum ChildProcess {
    /// What became of it.
    package struct Outcome: Sendable {
        /// The exit code; 128 + n when signal n ended it.
        package let exitCode: Int32
        /// What it wrote to standard output.
        package let output: [UInt8]
    }

    /// Runs a program without a shell and returns what it printed. Its standard error is ours, its
    /// standard input empty. Blocks the thread. The C functions are `posix_spawnp` and `waitpid`.
    ///
    /// - Throws: `ETIMEDOUT` after `timeoutMilliseconds`, `EFBIG` after `limit` bytes of output;
    ///   the program is ended then.
    package static func run(
        _ arguments: [String],
        timeoutMilliseconds: Int64,
        limit: Int
    ) throws(SystemError) -> Outcome {
        let name = arguments.first ?? ""
        var ends: [Int32] = [0, 0]
        try retryingInterrupts("pipe") { pipe(&ends) }
        let reading = FileDescriptor(owning: ends[0])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let process: pid_t
        do throws(SystemError) {
            // Under the lock: nobody else may wait for one that has ended before it is in the set.
            process = try running.withLock { (running) throws(SystemError) in
                let process = try spawn(arguments, output: ends[1])
                running.insert(process)
                return process
            }
            close(ends[1])
        } catch {
            close(ends[1])
            throw error
        }
        defer { running.withLock { _ = $0.remove(process) } }
        let deadline = MonotonicTime.now + timeoutMilliseconds * Nanoseconds.millisecond
        do throws(SystemError) {
            let output = try readAll(reading.rawValue, until: deadline, limit: limit, name)
            return Outcome(exitCode: try wait(process, until: deadline, name), output: output)
        } catch {
            kill(process, SIGKILL)
            var status: Int32 = 0
            while waitpid(process, &status, 0) == -1, errno == EINTR {}
            throw error
        }
    }

    /// Processes that a `run` waits for.
    private static let running = Mutex<Set<pid_t>>([])

    /// Whether a `run` waits for this process.
    static func isOurs(_ process: pid_t) -> Bool { running.withLock { $0.contains(process) } }

    private static func spawn(_ arguments: [String], output: Int32) throws(SystemError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var process = pid_t()
        let result = posix_spawnp(&process, arguments.first ?? "", &actions, nil, words, environ)
        guard result == 0 else {
            throw SystemError(result, call: "posix_spawnp", path: arguments.first)
        }
        return process
    }

    private static func readAll(
        _ descriptor: Int32,
        until deadline: MonotonicTime,
        limit: Int,
        _ name: String
    ) throws(SystemError) -> [UInt8] {
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let left = deadline - .now
            guard left > 0 else { throw SystemError(ETIMEDOUT, call: "read", path: name) }
            let ready = try Readiness.wait(descriptor, -1, nanoseconds: left)
            guard ready.first else { continue }
            let count = try retryingInterrupts("read") { read(descriptor, &buffer, buffer.count) }
            if count == 0 { return output }
            output += buffer.prefix(count)
            guard output.count <= limit else { throw SystemError(EFBIG, call: "read", path: name) }
        }
    }

    /// Waits for a process that has closed its output: it ends soon, or not in time.
    private static func wait(
        _ process: pid_t,
        until deadline: MonotonicTime,
        _ name: String
    ) throws(SystemError) -> Int32 {
        while true {
            var status: Int32 = 0
            let result = try retryingInterrupts("waitpid") { waitpid(process, &status, WNOHANG) }
            if result == process {
                let signal = status & 0x7f
                return signal == 0 ? (status >> 8) & 0xff : 128 + signal
            }
            guard MonotonicTime.now < deadline else {
                throw SystemError(ETIMEDOUT, call: "waitpid", path: name)
            }
            try Readiness.pause(nanoseconds: 2 * Nanoseconds.millisecond)
        }
    }
}
