import BackupCatalog
import Bytes
import Testing

/// The claims in `writers/`, as docs/FORMAT.md spells them.
@Suite struct WriterClaimTests {
    private let claim = WriterClaim(
        writer: WriterTag(0x0123_4567_89ab_cdef),
        txid: TXID(0x1e),
        time: Timestamp(milliseconds: 1_795_479_330_123),
        host: "db1"
    )

    @Test func `a claim is what the page says`() throws {
        let text = String(decoding: claim.encode(), as: UTF8.self)
        #expect(
            text == #"{"format":"highwater-1","host":"db1","time":""# + claim.time.description
                + #"","txid":"000000000000001e","version":1,"writer":"0123456789abcdef"}"# + "\n"
        )
        #expect(try WriterClaim(decoding: claim.encode(), object: "x") == claim)
        var closing = claim
        closing.closes = true
        #expect(try WriterClaim(decoding: closing.encode(), object: "x") == closing)
        let page = """
            {"format":"highwater-1","version":1,"writer":"0123456789abcdef",
             "txid":"000000000000001e",
             "time":"\(claim.time)","host":"db1","closes":false,"later":[1]}
            """
        #expect(try WriterClaim(decoding: Array(page.utf8), object: "x") == claim)
    }

    @Test func `what is no claim is refused, and named`() {
        let good = String(decoding: claim.encode(), as: UTF8.self)
        let bad = [
            "", "{", "[]", good.replacing("highwater-1", with: "highwater-2"),
            good.replacing("0123456789abcdef", with: "0123"),
            good.replacing("000000000000001e", with: "1e"),
            good.replacing("000000000000001e", with: "ffffffffffffffff"),
            good.replacing("\"version\":1", with: "\"version\":\"1\""),
            good.replacing("Z\"", with: "\""), String(repeating: " ", count: 5000) + good,
        ]
        for text in bad {
            let error = #expect(throws: CatalogError.self) {
                try WriterClaim(decoding: Array(text.utf8), object: "the object")
            }
            #expect(error?.code == .damaged && error?.object == "the object")
        }
        let newer = good.replacing("\"version\":1", with: "\"version\":2")
        let error = #expect(throws: CatalogError.self) {
            try WriterClaim(decoding: Array(newer.utf8), object: "x")
        }
        #expect(error?.code == .unsupported)
    }

    @Test func `keys have sixteen digits, and count from one`() {
        #expect(WriterClaim.path(number: 30) == "writers/000000000000001e")
        #expect(WriterClaim.number(path: "writers/000000000000001e") == 30)
        for path in [
            "writers/0000000000000000", "writers/1", "writers/000000000000001E", "writers/",
            "writers/000000000000001e/x", "00/000000000000001e", "writers/000000000000001e.json",
        ] { #expect(WriterClaim.number(path: path) == nil, "\(path)") }
    }
}
