import ObjectStorage
import Platform
import TestSupport
import Testing

@Suite struct RequestRateTests {
    @Test func `a second's requests go at once, the next ones wait for their turn`() {
        let rate = RequestRate(perSecond: 10)
        let now = MonotonicTime.now
        for _ in 0..<10 { #expect(rate.delay(now) == 0) }
        #expect(rate.delay(now) == 100_000_000)
        #expect(rate.delay(now) == 200_000_000)
        // Two tokens came meanwhile, for the two that wait.
        #expect(rate.delay(now + 200_000_000) == 100_000_000)
        #expect(rate.delay(now + 10 * Nanoseconds.second) == 0)
    }

    @Test func `what was not used is kept for a second at most`() {
        let rate = RequestRate(perSecond: 5)
        let later = MonotonicTime.now + 3600 * Nanoseconds.second
        let delays = (0..<6).map { _ in rate.delay(later) }
        #expect(delays == [0, 0, 0, 0, 0, 200_000_000])
    }

    @Test func `a store behind a ceiling does what it did, and not faster`() async throws {
        let store = MemoryStore()
        let limited = RateLimitedStore(store, rate: RequestRate(perSecond: 20))
        let key = try #require(ObjectKey("highwater-1/a"))
        let began = MonotonicTime.now
        for number in 0..<15 { try await limited.put(key, bytes: [UInt8(number)]) }
        #expect(try await limited.get(key) == [14])
        #expect(try await limited.list(prefix: "highwater-1/").map(\.key) == [key])
        #expect(try await limited.head(key)?.size == 1)
        for _ in 0..<11 { _ = try await limited.head(key) }
        try await limited.delete([key])
        // 30 requests: 20 at once, the others 50 ms apart.
        #expect(MonotonicTime.now - began >= 450 * Nanoseconds.millisecond)
        #expect(try await store.head(key) == nil)
    }
}
