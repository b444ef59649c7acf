import Bytes
import Testing

@Suite struct BytesTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0 as Int64), ("2026-11-24T00:15:30.123Z", 1_795_479_330_123),
        ("2024-02-29T23:59:59.9Z", 1_709_251_199_900),
        ("2024-03-01T01:00:00+01:00", 1_709_251_200_000),
        ("1969-12-31T23:59:59.999Z", -1),
    ])
    func `RFC 3339 names the time it says`(text: String, milliseconds: Int64) throws {
        let time = try #require(Timestamp(rfc3339: text))
        #expect(time.milliseconds == milliseconds)
        #expect(Timestamp(rfc3339: time.description) == time)
    }

    @Test(arguments: [
        "2026-11-24T00:15:30", "2026-11-24", "2026-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "now",
        "2026-11-24T24:00:00Z", "2026-11-24T00:00:00.Z", "2026-11-24T00:00:00Zx", "",
        "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
    ])
    func `a time without zone, or none at all, is refused`(text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test func `every day of four centuries keeps its date`() {
        var previous = Timestamp(milliseconds: -12_622_780_800_000).civil
        for day in 1..<146_097 {
            let civil = Timestamp(milliseconds: -12_622_780_800_000 + Int64(day) * 86_400_000).civil
            let isNextDay =
                civil.day == previous.day + 1
                || (civil.day == 1 && (civil.month == previous.month + 1 || civil.month == 1))
            #expect(isNextDay)
            previous = civil
        }
    }

    @Test func `128-bit sums carry and wrap`() {
        let max = Hash128(low: .max, high: .max)
        let one = Hash128(low: 1, high: 0)
        #expect(max &+ one == .zero)
        #expect(Hash128.zero &- one == max)
        #expect(Hash128(low: .max, high: 0) &+ one == Hash128(low: 0, high: 1))
        #expect(Hash128(hex: max.description) == max)
    }

    @Test func `generation names sort by creation and are not Litestream's`() throws {
        let first = GenerationID(
            time: Timestamp(milliseconds: 1_795_479_330_123),
            random: 0xffff_ffff
        )
        let second = GenerationID(time: Timestamp(milliseconds: 1_795_479_330_124), random: 0)
        #expect(first.text == "20261124T001530123Z-ffffffff")
        #expect(first < second)
        #expect(GenerationID(first.text) == first)
        #expect(GenerationID("0123456789abcdef") == nil)
    }

    @Test func `TXIDs are sixteen digits and nothing else`() {
        #expect(TXID(hex: "00000000000000ff") == TXID(255))
        #expect(TXID(hex: "ff") == nil)
        #expect(TXID(hex: "00000000000000fg") == nil)
    }

    @Test(arguments: [(512, 2_097_153), (4096, 262_145), (65536, 16385)])
    func `the lock page is the one at 1 GiB`(bytes: Int, page: UInt32) throws {
        #expect(try #require(PageSize(bytes)).lockPage == PageNumber(page))
    }

    @Test func `XOR of pages undoes itself`() {
        var page = (0..<512).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let delta = (0..<512).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let original = page
        for _ in 0..<2 {
            delta.withUnsafeBytes { d in page.withUnsafeMutableBytes { PageXOR.apply(d, to: $0) } }
        }
        #expect(page == original)
    }
}
