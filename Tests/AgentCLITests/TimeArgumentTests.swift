import Bytes
import Testing

@testable import AgentCLI

@Suite struct TimeArgumentTests {
    let now = Timestamp(rfc3339: "2026-11-24T12:00:00Z")!

    @Test(arguments: [
        ("2026-11-24T11:58:00Z", "2026-11-24T11:58:00.000Z"),
        ("2026-11-24T13:58:00+02:00", "2026-11-24T11:58:00.000Z"),
        ("5m", "2026-11-24T11:55:00.000Z"),
        ("1h ago", "2026-11-24T11:00:00.000Z"),
        ("1h30m", "2026-11-24T10:30:00.000Z"),
        ("2 days ago", "2026-11-22T12:00:00.000Z"),
        ("90 seconds", "2026-11-24T11:58:30.000Z"),
    ])
    func `a time with a zone or an age is understood`(_ text: String, _ time: String) throws {
        #expect(try TimeArgument.parse(text, now: now).description == time)
    }

    @Test(arguments: ["2026-11-24T11:58:00", "yesterday", "", "5", "m", "5x", "ago", "-5m", "5m5"])
    func `anything else is refused`(_ text: String) {
        #expect(throws: (any Error).self) { try TimeArgument.parse(text, now: now) }
    }

    @Test func `a time without a zone is explained`() {
        let error = #expect(throws: (any Error).self) {
            try TimeArgument.parse("2026-11-24T11:58:00", now: now)
        }
        #expect("\(error!)".contains("zone"))
    }

    @Test func `sizes are understood`() throws {
        #expect(try ByteCountArgument.parse("64MiB") == 64 << 20)
        #expect(try ByteCountArgument.parse("1G") == 1 << 30)
        #expect(try ByteCountArgument.parse("1000 kb") == 1_000_000)
        for text in ["", "x", "1X", "-1", "99999999999999G"] {
            #expect(throws: (any Error).self) { try ByteCountArgument.parse(text) }
        }
    }
}
