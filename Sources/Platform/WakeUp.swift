import CLinux
import Glibc

/// A flag that one thread raises and another waits for: an `eventfd`.
package final class WakeUp: Sendable {
    /// Readable while the flag is raised.
    package let descriptor: FileDescriptor

    /// A lowered flag.
    package init() throws(SystemError) {
        let number = try retryingInterrupts("eventfd") { hw_eventfd() }
        descriptor = FileDescriptor(owning: number)
    }

    /// Raises the flag; any thread may call this.
    package func raise() {
        var one: UInt64 = 1
        _ = Glibc.write(descriptor.rawValue, &one, 8)
    }

    /// Lowers the flag.
    package func lower() {
        var count: UInt64 = 0
        _ = Glibc.read(descriptor.rawValue, &count, 8)
    }
}

/// Waits for one of two descriptors.
package enum Readiness {
    /// Which of two descriptors became readable before `nanoseconds` passed (negative: no limit).
    /// An interrupted wait reports neither. The C function is `ppoll`.
    package static func wait(
        _ first: Int32,
        _ second: Int32,
        nanoseconds: Int64
    ) throws(SystemError) -> (first: Bool, second: Bool) {
        var nanoseconds = nanoseconds
        if let surroundings = Simulation.surroundings {
            surroundings.pause(nanoseconds: max(0, nanoseconds))
            nanoseconds = 0
        }
        let ready = hw_poll2(first, second, nanoseconds)
        if ready < 0 {
            if errno == EINTR { return (false, false) }
            throw SystemError.last("ppoll")
        }
        return (ready & 1 != 0, ready & 2 != 0)
    }
}

extension Readiness {
    /// Lets the time pass. For waiting on what raises no event.
    package static func pause(nanoseconds: Int64) throws(SystemError) {
        _ = try wait(-1, -1, nanoseconds: nanoseconds)
    }

    /// Lets the calling thread's pauses end on time, where Linux lets them be 50 µs longer.
    package static func pauseExactly() { _ = hw_timer_slack(1000) }
}
