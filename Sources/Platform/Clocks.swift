package import Bytes
import Glibc

/// Nanoseconds on the machine's monotonic clock; only differences mean something.
package struct MonotonicTime: Hashable, Comparable, Sendable {
    /// Nanoseconds since some point before the process began.
    package var nanoseconds: Int64

    /// The time that many nanoseconds after the clock's zero.
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// Now. The C function is `clock_gettime(CLOCK_MONOTONIC)`.
    package static var now: MonotonicTime {
        if let surroundings = Simulation.surroundings { return surroundings.monotonicTime }
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    package static func < (a: Self, b: Self) -> Bool { a.nanoseconds < b.nanoseconds }

    /// The time `nanoseconds` later.
    package static func + (time: Self, nanoseconds: Int64) -> Self {
        Self(nanoseconds: time.nanoseconds + nanoseconds)
    }

    /// Nanoseconds from `b` to `a`.
    package static func - (a: Self, b: Self) -> Int64 { a.nanoseconds - b.nanoseconds }
}

/// Nanoseconds in familiar units.
package enum Nanoseconds {
    /// One microsecond.
    package static let microsecond: Int64 = 1000
    /// One millisecond.
    package static let millisecond: Int64 = 1_000_000
    /// One second.
    package static let second: Int64 = 1_000_000_000
}

extension Timestamp {
    /// The wall clock's time. The C function is `clock_gettime(CLOCK_REALTIME)`.
    package static var now: Timestamp {
        if let surroundings = Simulation.surroundings { return surroundings.wallTime }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(
            milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
        )
    }
}
