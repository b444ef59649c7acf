import Platform

/// How often to look after an event (DESIGN §3): the event comes at the write, the WAL-index is
/// published later and raises none. Looks follow after 50 µs, 100 µs, …; dense for the time that an
/// fsync takes, then up to 50 ms apart, for two seconds at most.
struct Watch {
    private var began: MonotonicTime?
    private var interval: Int64 = 0
    /// When to look next; nil while nothing is awaited.
    private(set) var next: MonotonicTime?

    private static let first = 50 * Nanoseconds.microsecond
    private static let denseInterval = Nanoseconds.millisecond
    private static let denseTime = 30 * Nanoseconds.millisecond
    private static let intervalMax = 50 * Nanoseconds.millisecond
    private static let timeMax = 2 * Nanoseconds.second

    /// An event came.
    mutating func start(_ now: MonotonicTime) {
        began = now
        interval = Self.first
        next = now + interval
    }

    /// Looked, and what is awaited has not come yet.
    mutating func lookedInVain(_ now: MonotonicTime) {
        guard let began else { return }
        guard now - began < Self.timeMax else { return stop() }
        let isDense = now - began < Self.denseTime
        interval = min(interval * 2, isDense ? Self.denseInterval : Self.intervalMax)
        next = now + interval
    }

    /// Nothing is awaited any more.
    mutating func stop() {
        began = nil
        next = nil
    }
}
