import BackupCatalog
import Bytes
import Testing

/// The hint that a restore leaves, as docs/CLI.md spells it.
@Suite struct RestoreHintTests {
    private let hint: RestoreHint
    private let text: String

    init() throws {
        hint = RestoreHint(
            generation: try #require(GenerationID("20251124T120000000Z-0a1b2c3d")),
            txid: TXID(0x1e),
            digest: DatabaseDigest(low: 2, high: 1),
            pageSize: try #require(PageSize(4096)),
            pageCount: 7
        )
        text = String(decoding: hint.encode(), as: UTF8.self)
    }

    @Test func `a hint is what the page says`() throws {
        #expect(
            text == #"{"digest":"00000000000000010000000000000002","format":"highwater-hint","#
                + #""generation":"20251124T120000000Z-0a1b2c3d","page_count":7,"page_size":4096,"#
                + #""txid":"000000000000001e","version":1}"# + "\n"
        )
        #expect(try RestoreHint(decoding: Array(text.utf8), object: "x") == hint)
        let later = text.replacing("{", with: #"{"later":[{}],"#)
        #expect(try RestoreHint(decoding: Array(later.utf8), object: "x") == hint)
        #expect(RestoreHint.path(for: "/a/b.db") == "/a/b.db.highwater")
    }

    @Test func `what is no hint is refused, and named`() {
        let changes = [
            ("highwater-hint", "highwater-1"), ("20251124T", "2025T"), ("-0a1b", "/0a1b"),
            ("000000000000001e", "1e"), ("000000000000001e", "0000000000000000"),
            ("000000000000001e", "ffffffffffffffff"), ("0000000000000001", "+000000000000001"),
            ("4096", "4095"), ("4096", "-4096"), ("4096", "131072"), ("4096", "\"4096\""),
            ("4096", "99999999999999999999999"), ("\"page_count\":7", "\"page_count\":0"),
            ("\"page_count\":7", "\"page_count\":-1"), ("}", "}}"), ("}", ""),
            ("\"version\":1,", ""),
            ("\"page_count\":7", "\"page_count\":4294967296"),
            ("\n", String(repeating: " ", count: 5000)),
        ]
        let deep = String(repeating: "[", count: RestoreHint.maxEncodedSize)
        for text in ["", "{", "[]", "null", deep] + changes.map({ text.replacing($0, with: $1) })
        where text != self.text {
            let error = #expect(throws: CatalogError.self, "\(text)") {
                try RestoreHint(decoding: Array(text.utf8), object: "the file")
            }
            #expect(error?.code == .damaged && error?.object == "the file", "\(text)")
        }
        for version in ["0", "2", "-1"] {
            let other = text.replacing("\"version\":1", with: "\"version\":\(version)")
            let error = #expect(throws: CatalogError.self) {
                try RestoreHint(decoding: Array(other.utf8), object: "x")
            }
            #expect(error?.code == .unsupported)
        }
    }
}
