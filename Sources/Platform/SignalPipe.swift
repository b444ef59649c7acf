import CLinux
import Glibc

/// Turns signals into bytes on a pipe. The first one that ends the process is delivered here; the
/// second one ends it at once, whatever it is doing.
///
/// One per process: a signal handler is a property of the process.
package struct SignalPipe: ~Copyable, Sendable {
    /// A signal that came.
    package struct Delivery: Sendable, Hashable {
        /// Its number.
        package let signal: Int32
        /// Whether the terminal sent it, to every process in the foreground.
        package let isFromTerminal: Bool
    }

    /// Readable once a signal has come.
    package let descriptor: FileDescriptor
    private let writing: FileDescriptor

    /// Catches `signals`, and `others`, which do not end the process. `secondExitCode` is the exit
    /// code when a second one of `signals` comes; nil delivers that one like the first. The C
    /// functions are `pipe` and `sigaction`.
    package init(
        signals: [Int32],
        others: [Int32] = [],
        secondExitCode: Int32?
    ) throws(SystemError) {
        var ends: [Int32] = [0, 0]
        try retryingInterrupts("pipe") { pipe(&ends) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        // A handler must never wait for a reader.
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        hw_signal_exit_code(secondExitCode ?? -1)
        for signal in signals + others {
            try retryingInterrupts("sigaction") {
                hw_signal_install(signal, ends[1], signals.contains(signal) ? 1 : 0)
            }
        }
        descriptor = FileDescriptor(owning: ends[0])
        writing = FileDescriptor(owning: ends[1])
    }

    /// From now on the next signal that ends the process does so at once.
    package static func endAtOnce(exitCode: Int32) { hw_signal_exit_code(exitCode) }

    /// Ignores a signal. The C function is `signal`.
    package static func ignore(_ signal: Int32) { hw_signal_ignore(signal) }

    /// The next signal on `descriptor`; nil when `other` becomes readable first. Blocks the thread.
    package static func next(
        _ descriptor: Int32,
        or other: Int32
    ) throws(SystemError) -> Delivery? {
        guard try wait(descriptor, or: other) else { return nil }
        var byte: UInt8 = 0
        try retryingInterrupts("read") { Glibc.read(descriptor, &byte, 1) }
        return Delivery(signal: Int32(byte & 0x7f), isFromTerminal: byte & 0x80 != 0)
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
