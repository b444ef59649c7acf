import Platform
import Testing

@testable import Replication

@Suite struct WatchTests {
    @Test func `after an event it looks again and again, ever later, for two seconds`() throws {
        var watch = Watch()
        #expect(watch.next == nil)
        let start = MonotonicTime(nanoseconds: 1_000_000_000)
        watch.start(start)
        var looks: [MonotonicTime] = []
        while let next = watch.next {
            looks.append(next)
            watch.lookedInVain(next)
        }
        let first = try #require(looks.first)
        let last = try #require(looks.last)
        #expect(first - start == 50 * Nanoseconds.microsecond)
        #expect(last - start >= 2 * Nanoseconds.second)
        #expect(last - start <= 2 * Nanoseconds.second + 50 * Nanoseconds.millisecond)
        // The WAL-index is published up to an fsync after the event: no gap there.
        let gaps = zip(looks, looks.dropFirst()).map { $1 - $0 }
        for (look, gap) in zip(looks, gaps) where look - start < 30 * Nanoseconds.millisecond {
            #expect(gap <= Nanoseconds.millisecond)
        }
        watch.start(last)
        watch.stop()
        #expect(watch.next == nil)
    }
}
