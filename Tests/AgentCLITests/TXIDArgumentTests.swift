import Bytes
import Testing

@testable import AgentCLI

@Suite struct TXIDArgumentTests {
    @Test func `sixteen digits and 0x are TXIDs`() throws {
        #expect(try TXIDArgument.parse("000000000000001f") == TXID(31))
        #expect(try TXIDArgument.parse("0x1f") == TXID(31))
    }

    @Test func `anything else is refused and shows both readings`() {
        let error = #expect(throws: (any Error).self) { try TXIDArgument.parse("31") }
        let text = error.map { "\($0)" } ?? ""
        #expect(text.contains("000000000000001f"))
        #expect(text.contains("0000000000000031"))
        #expect(throws: (any Error).self) { try TXIDArgument.parse("newest") }
        #expect(throws: (any Error).self) { try TXIDArgument.parse("0x") }
    }
}
