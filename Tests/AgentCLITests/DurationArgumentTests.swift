import ArgumentParser
import Testing

@testable import AgentCLI

/// Lengths of time on the command line.
@Suite struct DurationArgumentTests {
    @Test(arguments: [
        ("0s", 0), ("90s", 90_000), ("30m", 1_800_000), ("36h", 129_600_000),
        ("7d", 604_800_000), ("2w", 1_209_600_000), ("1h30m", 5_400_000), ("1d12h5s", 129_605_000),
    ])
    func `units add up`(_ text: String, _ milliseconds: Int64) throws {
        #expect(try DurationArgument.milliseconds(text, option: "-x") == milliseconds)
    }

    @Test(arguments: [
        "", "7", "d", "7x", "-7d", "1.5h", "7 d", "99999999999999999999d", "9999999w",
    ])
    func `anything else is refused`(_ text: String) {
        #expect(throws: ValidationError.self) {
            try DurationArgument.milliseconds(text, option: "-retention")
        }
    }
}
