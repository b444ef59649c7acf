import HTTPTransport
import ObjectStorage
import S3
import Testing

@Suite struct RegionTests {
    typealias Script = ScriptedTransport
    let key = ObjectKey("k")!

    @Test(arguments: [
        Script.error(
            301,
            "PermanentRedirect",
            "<Endpoint>bucket.s3.eu-west-3.amazonaws.com</Endpoint>"
        ),
        Script.answer(301, [("x-amz-bucket-region", "eu-west-3")]),
        Script.error(400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"),
        Script.answer(
            307,
            [("location", "https://bucket.s3.eu-west-3.amazonaws.com/k")],
            "<Error><Code>TemporaryRedirect</Code></Error>"
        ),
    ])
    func `a bucket in another region is found`(step: @escaping Script.Step) async throws {
        let script = Script([step, Script.answer(200), Script.answer(200)])
        let subject = try Subject(script, url: "s3://bucket")
        try await subject.store.put(key, bytes: [1])
        try await subject.store.put(key, bytes: [1])
        let urls = script.requests.map(\.url)
        #expect(urls[0] == "https://bucket.s3.us-east-1.amazonaws.com/k")
        #expect(urls[1] == "https://bucket.s3.eu-west-3.amazonaws.com/k")
        #expect(urls[2] == urls[1])
        #expect(script.requests[1].header("authorization")?.contains("/eu-west-3/s3/") == true)
        #expect(script.pauses.isEmpty)
    }

    @Test func `HEAD tells its region by a header alone`() async throws {
        let script = Script([
            Script.answer(400, [("x-amz-bucket-region", "eu-west-3")]),
            Script.answer(200, [("content-length", "3")]),
        ])
        let subject = try Subject(script, url: "s3://bucket")
        #expect(try await subject.store.head(key)?.size == 3)
    }

    @Test func `a redirect is followed once`() async throws {
        let script = Script([
            Script.answer(301, [("x-amz-bucket-region", "eu-west-3")]),
            Script.answer(301, [("x-amz-bucket-region", "eu-west-1")]),
        ])
        let subject = try Subject(script, url: "s3://bucket")
        let error = await #expect(throws: StoreError.self) {
            try await subject.store.put(key, bytes: [1])
        }
        #expect(script.requests.count == 2)
        #expect(error?.code == .invalid)
    }

    @Test func `requests that were under way follow a redirect that another one was told of`()
        async throws
    {
        let script = Script(then: { request throws(TransferError) in
            let isMoved = request.url.contains("eu-west-3")
            let step =
                isMoved
                ? Script.answer(200) : Script.answer(301, [("x-amz-bucket-region", "eu-west-3")])
            return try step(request)
        })
        script.waitsForAll = 3
        let subject = try Subject(script, url: "s3://bucket")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<3 { group.addTask { try await subject.store.put(key, bytes: [1]) } }
            try await group.waitForAll()
        }
        #expect(script.requests.count == 6)
    }

    @Test(arguments: [
        "https://evil.example/k", "http://store.example/k", "https://store.example.evil/k",
        "https://user@store.example/k", "//",
    ])
    func `credentials do not follow a redirect to others`(location: String) async throws {
        let script = Script([
            Script.answer(
                307,
                [("location", location)],
                "<Error><Code>TemporaryRedirect</Code></Error>"
            )
        ])
        let subject = try Subject(script, url: "s3://bucket?endpoint=https://store.example")
        await #expect(throws: StoreError.self) { try await subject.store.put(key, bytes: [1]) }
        #expect(script.requests.count == 1)
    }

    @Test func `a redirect to another host of the store's own`() async throws {
        let script = Script([
            Script.answer(
                307,
                [("location", "https://node7.store.example/bucket/k")],
                "<Error><Code>TemporaryRedirect</Code></Error>"
            ),
            Script.answer(200),
        ])
        let subject = try Subject(script, url: "s3://bucket?endpoint=https://store.example")
        try await subject.store.put(key, bytes: [1])
        #expect(script.requests.last?.url == "https://node7.store.example/bucket/k")
    }
}
