import CLinux
import Glibc

/// Turns signals into bytes on a pipe. The first one is delivered here; the second one ends the
/// process at once, whatever it is doing.
///
/// One per process: a signal handler is a property of the process.
package struct SignalPipe: ~Copyable, Sendable {
    /// Readable once a signal has come.
    package let descriptor: FileDescriptor
    private let writing: FileDescriptor

    /// Catches `signals`. `secondExitCode` is the exit code when a second one comes. The C
    /// functions are `pipe` and `sigaction`.
    package init(signals: [Int32], secondExitCode: Int32) throws(SystemError) {
        var ends: [Int32] = [0, 0]
        try retryingInterrupts("pipe") { pipe(&ends) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        for signal in signals {
            try retryingInterrupts("sigaction") {
                hw_signal_install(signal, ends[1], secondExitCode)
            }
        }
        descriptor = FileDescriptor(owning: ends[0])
        writing = FileDescriptor(owning: ends[1])
    }

    /// True when a signal comes on `descriptor` before `other` becomes readable. Blocks the thread.
    package static func wait(_ descriptor: Int32, or other: Int32) throws(SystemError) -> Bool {
        while true {
            let ready = try Readiness.wait(descriptor, other, nanoseconds: -1)
            if ready.first { return true }
            if ready.second { return false }
        }
    }
}
