import CLinux
import Glibc
import Synchronization

/// The application that an agent was asked to run.
package final class ExecutedCommand: Sendable {
    /// Its process.
    private let process: pid_t
    /// Whether signals go to a group of processes, because a shell stays between.
    private let isGroup: Bool

    /// Characters that make a command a matter of the shell's.
    private static let shellCharacters = Set(";|&<>()`\n")

    /// Starts a command line as the shell reads it. A plain one takes the shell's place, so that
    /// signals and the exit code are the program's own. The C function is `posix_spawn`.
    package init(_ line: String) throws(SystemError) {
        // `exec` takes no variables: NAME=value program.
        let hasVariables = line.prefix { $0 != " " }.contains("=")
        isGroup = hasVariables || line.contains { Self.shellCharacters.contains($0) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Neither what this process ignores nor what one of its threads blocks is the program's.
        var flags = Int32(POSIX_SPAWN_SETSIGDEF) | Int32(POSIX_SPAWN_SETSIGMASK)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        if isGroup {
            flags |= Int32(POSIX_SPAWN_SETPGROUP)
            posix_spawnattr_setpgroup(&attributes, 0)
        }
        posix_spawnattr_setflags(&attributes, Int16(flags))
        let text = isGroup ? line : "exec \(line)"
        let arguments: [String] = ["/bin/sh", "-c", text]
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var started = pid_t()
        let result = posix_spawn(&started, "/bin/sh", nil, &attributes, words, environ)
        guard result == 0 else { throw SystemError(result, call: "posix_spawn", path: "/bin/sh") }
        process = started
    }

    /// Sends a signal on.
    package func signal(_ number: Int32) { kill(isGroup ? -process : process, number) }

    /// Waits until it has ended; the exit code, 128 + n when signal n ended it. Blocks the thread.
    ///
    /// As process 1 of a container, children that others left are waited for, too, so that they do
    /// not stay as zombies.
    package func wait() throws(SystemError) -> Int32 {
        while getpid() == 1 {
            let ended = try retryingInterrupts("waitid") { hw_peek_ended_child(1) }
            if ended == process { break }
            if ChildProcess.isOurs(ended) {
                // Somebody else in this process waits for that one, and is about to.
                try Readiness.pause(nanoseconds: 5 * Nanoseconds.millisecond)
            } else {
                var status: Int32 = 0
                waitpid(ended, &status, 0)
            }
        }
        var status: Int32 = 0
        try retryingInterrupts("waitpid") { waitpid(process, &status, 0) }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }
}
