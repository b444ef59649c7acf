import Testing

@testable import AgentCLI

@Suite struct UnknownOptionTests {
    /// Each was taken for a request for help, or for something that is missing.
    @Test(
        arguments: [
            ["restore", "-o", "y.db", "-threads", "4", "file:///a"], ["verify", "-path", "foo"],
            ["restore", "-o", "x.db", "-bogus", "file:///a"], ["config", "check", "-bogus=1"],
        ]
    )
    func `an option that a command does not have is named`(_ arguments: [String]) throws {
        let found = try #require(UnknownOption.first(in: arguments))
        #expect(arguments.contains { $0.hasPrefix(found.option) })
        #expect(arguments.joined(separator: " ").hasPrefix(found.command))
        #expect(throws: (any Error).self) { try Highwater.parseAsRoot(arguments) }
    }

    @Test(
        arguments: [
            ["restore", "-o", "y.db", "-timestamp", "-5m", "file:///a"],
            ["restore", "--parallelism=4", "-json", "file:///a"], ["status"], [],
            ["replicate", "a.db", "file:///a", "--", "-x"],
        ]
    )
    func `options that it has, and values, are none`(_ arguments: [String]) {
        #expect(UnknownOption.first(in: arguments) == nil)
    }
}
