import HTTPTransport
import ObjectStorage
import S3
import Synchronization
import Testing

@Suite struct ListingTests {
    typealias Script = ScriptedTransport

    func page(_ keys: [String], next: String? = nil, truncated: Bool? = nil, more: String = "")
        -> Script.Step
    {
        let isTruncated = truncated ?? (next != nil)
        var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
        text += "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        text += "<IsTruncated>\(isTruncated)</IsTruncated><EncodingType>url</EncodingType>"
        if let next { text += "<NextContinuationToken>\(next)</NextContinuationToken>" }
        for key in keys {
            text += "<Contents><Key>\(key)</Key><Size>3</Size><ETag>&quot;e&quot;</ETag>"
            text += "<LastModified>2013-05-24T00:00:01.000Z</LastModified></Contents>"
        }
        return Script.answer(200, [], text + more + "</ListBucketResult>")
    }

    @Test func `pages are followed by their tokens, and keys are decoded`() async throws {
        let script = Script([
            page(["pre/fix/a%20b", "pre/fix/c+d", "pre/fix/e%2Bf"], next: "T/1+="),
            page(["pre/fix/%C3%A9", "pre/fix/folder/", "other/x"]),
        ])
        let found = try await Subject(script).store.list(prefix: "")
        #expect(found.map(\.key.path) == ["a b", "c d", "e+f", "é"])
        #expect(found[0].size == 3)
        #expect(found[0].entityTag == "\"e\"")
        let urls = script.requests.map(\.url)
        #expect(
            urls[0]
                == "http://127.0.0.1:9000/bucket?encoding-type=url&list-type=2&max-keys=1000"
                + "&prefix=pre%2Ffix%2F"
        )
        #expect(urls[1].contains("continuation-token=T%2F1%2B%3D"))
    }

    @Test func `start, end and prefix`() async throws {
        let script = Script([page(["pre/fix/a", "pre/fix/b", "pre/fix/c", "pre/fix/d"], next: "T")])
        let found = try await Subject(script).store.list(prefix: "", after: "a", limit: 2)
        #expect(found.map(\.key.path) == ["b", "c"])
        #expect(script.requests.count == 1)
        #expect(script.requests[0].url.contains("max-keys=2"))
        #expect(script.requests[0].url.contains("start-after=pre%2Ffix%2Fa"))
    }

    @Test func `a store that does not sort is sorted`() async throws {
        let script = Script([page(["pre/fix/c", "pre/fix/a"], next: "T"), page(["pre/fix/b"])])
        let found = try await Subject(script).store.list(prefix: "")
        #expect(found.map(\.key.path) == ["a", "b", "c"])
    }

    @Test func `pages without an object end at some time`() async throws {
        let count = Mutex(0)
        let endless = Script(then: { [self] request throws(TransferError) in
            let number = count.withLock { count in
                count += 1
                return count
            }
            return try page([], next: "T\(number)")(request)
        })
        let error = await #expect(throws: StoreError.self) {
            try await Subject(endless).store.list(prefix: "")
        }
        #expect(error?.description.contains("the listing does not end") == true)
        #expect(error?.description.contains("pre/fix/") == true)
        #expect(count.withLock { $0 } == 5000)
        var steps = (1...30).map { page([], next: "T\($0)") }
        steps.append(page(["pre/fix/a"]))
        #expect(try await Subject(Script(steps)).store.list(prefix: "").count == 1)
    }

    @Test func `circles and dead ends are errors, not ends`() async throws {
        let circle = Script(then: page(["pre/fix/a"], next: "T"))
        let error = await #expect(throws: StoreError.self) {
            try await Subject(circle).store.list(prefix: "")
        }
        #expect(error?.code == .damaged)
        #expect(circle.requests.count == 2)
        let cut = Script(then: page([], truncated: true))
        await #expect(throws: StoreError.self) { try await Subject(cut).store.list(prefix: "") }
    }

    @Test func `a truncated page without a token goes on after its last key`() async throws {
        let script = Script([page(["pre/fix/a"], truncated: true), page(["pre/fix/b"])])
        let found = try await Subject(script).store.list(prefix: "")
        #expect(found.count == 2)
        #expect(script.requests[1].url.contains("start-after=pre%2Ffix%2Fa"))
    }

    @Test func `stores without version 2 are asked in version 1`() async throws {
        let script = Script([page(["x/a"], truncated: true), page(["x/b"])])
        let url = "s3://bucket/x?endpoint=https://cos.ap-guangzhou.myqcloud.com"
        #expect(try await Subject(script, url: url).store.list(prefix: "").count == 2)
        #expect(!script.requests[0].url.contains("list-type"))
        #expect(script.requests[1].url.contains("marker=x%2Fa"))
        #expect(script.requests[0].url.hasPrefix("https://bucket.cos.ap-guangzhou.myqcloud.com/?"))
    }

    @Test(arguments: [
        "<html><body>Sign in</body></html>", "", "not xml at all", "<ListBucketResult>",
        "<Other/>",
        "<ListBucketResult><Contents><Key>pre/fix/a</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult>&a;</ListBucketResult>",
        "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>pre/fix/%zz</Key>"
            + "<Size>1</Size></Contents></ListBucketResult>",
    ])
    func `what is no listing is never an empty one`(text: String) async throws {
        let script = Script([Script.answer(200, [], text)])
        let error = await #expect(throws: StoreError.self) {
            try await Subject(script).store.list(prefix: "")
        }
        #expect(error?.code == .unreachable)
    }
}

@Suite struct XMLElementTests {
    func problem(_ text: String) -> String? {
        do {
            _ = try XMLElement.parse(Array(text.utf8))
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `names, texts and order`() throws {
        let text = "<?xml version='1.0'?><s:A xmlns:s='urn:x'>t<B>1 &amp; 2</B><C/><B>é</B></s:A>"
        let root = try XMLElement.parse(Array(text.utf8))
        #expect(root.name == "A")
        #expect(root.text("B") == "1 & 2")
        #expect(root.all("B").map(\.text) == ["1 & 2", "é"])
        #expect(root.text("D") == nil)
    }

    @Test func `document types and their entities are refused at once`() {
        var bomb = "<!DOCTYPE l [<!ENTITY a0 \"ha\">"
        for level in 1..<30 { bomb += "<!ENTITY a\(level) \"&a\(level - 1);&a\(level - 1);\">" }
        #expect(problem(bomb + "]><l>&a29;</l>")?.contains("document type") == true)
        #expect(problem("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>") != nil)
        #expect(problem("<a>&nbsp;</a>") != nil)
    }

    @Test func `size, depth, count and text are bounded`() {
        #expect(problem(String(repeating: "<a>", count: 17))?.contains("deep") == true)
        let many = "<a>" + String(repeating: "<b/>", count: 60_001) + "</a>"
        #expect(problem(many)?.contains("too many") == true)
        let long = "<a>" + String(repeating: "x", count: 70_000) + "</a>"
        #expect(problem(long)?.contains("too long") == true)
        #expect(
            problem("<a>" + String(repeating: " ", count: 9 << 20) + "</a>")?.contains("longer")
                == true
        )
    }

    @Test(arguments: ["", " ", "<a>", "<a></b>", "<a/><b/>", "\0", "<a>\u{1}</a>", "<a b></a>"])
    func `what is no XML`(text: String) { #expect(problem(text) != nil) }
}
