import HTTPTransport
import ObjectStorage
import S3
import Testing

@Suite struct ReadingTests {
    typealias Script = ScriptedTransport
    let key = ObjectKey("k")!

    func breaks(_ body: String) -> Script.Step {
        { request throws(TransferError) in
            var error = TransferError(.interrupted, "broken", mayHaveArrived: true)
            var head = HTTPResponseHead(status: 200, headers: [HTTPHeader("etag", "\"t\"")])
            if let range = request.header("range")?.dropFirst(6).prefix(while: { $0 != "-" }) {
                head.status = 206
                head.headers.append(HTTPHeader("content-range", "bytes \(range)-99/100"))
            }
            error.partial = HTTPResponse(head: head, body: Array(body.utf8))
            throw error
        }
    }

    @Test func `a range is asked for and cut out`() async throws {
        let script = Script([
            Script.answer(206, [("content-range", "bytes 2-4/9")], "cde"),
            // A store that ignores ranges, and one that says 200 but means 206.
            Script.answer(200, [], "abcdefghi"),
            Script.answer(200, [("content-range", "bytes 2-4/9")], "cde"),
        ])
        let subject = try Subject(script)
        for _ in 0..<3 {
            #expect(try await subject.store.get(key, range: 2..<5) == Array("cde".utf8))
        }
        #expect(script.requests[0].header("range") == "bytes=2-4")
        let signed = script.requests[0].header("authorization") ?? ""
        #expect(signed.contains("SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"))
    }

    @Test func `another range than the one asked for is an error`() async throws {
        let script = Script([Script.answer(206, [("content-range", "bytes 0-2/9")], "abc")])
        let error = await #expect(throws: StoreError.self) {
            try await Subject(script).store.get(key, range: 2..<5)
        }
        #expect(error?.code == .damaged)
    }

    @Test func `beyond the end there is nothing`() async throws {
        let script = Script([
            Script.error(416, "InvalidRange"), Script.answer(200, [("content-length", "3")]),
            Script.answer(404),
        ])
        let subject = try Subject(script)
        #expect(try await subject.store.get(key, range: 9..<12).isEmpty)
        #expect(try await subject.store.get(key, range: 1..<1).isEmpty)
        let error = await #expect(throws: StoreError.self) {
            try await subject.store.get(key, range: 1..<1)
        }
        #expect(error?.code == .notFound)
        #expect(script.requests.map(\.method) == [.get, .head, .head])
    }

    @Test func `a broken answer is read on from where it broke`() async throws {
        let script = Script([
            breaks("abc"), breaks("d"),
            Script.answer(206, [("content-range", "bytes 4-8/9"), ("etag", "\"t\"")], "efghi"),
        ])
        let subject = try Subject(script)
        #expect(try await subject.store.get(key) == Array("abcdefghi".utf8))
        #expect(script.requests.map { $0.header("range") } == [nil, "bytes=3-", "bytes=4-"])
        #expect(script.requests.map { $0.header("if-match") } == [nil, "\"t\"", "\"t\""])
    }

    @Test func `an object that was replaced meanwhile is not mixed`() async throws {
        let script = Script([breaks("abc"), Script.error(412, "PreconditionFailed")])
        let error = await #expect(throws: StoreError.self) {
            try await Subject(script).store.get(key)
        }
        #expect(error?.code == .preconditionFailed)
    }

    @Test func `reading on has an end`() async throws {
        let script = Script(then: breaks("a"))
        let error = await #expect(throws: StoreError.self) {
            try await Subject(script).store.get(key)
        }
        #expect(error?.code == .unreachable)
        #expect(script.requests.count == 11)
    }

    @Test func `what was compressed on the way is an error`() async throws {
        let script = Script([Script.answer(200, [("content-encoding", "gzip")], "x")])
        let error = await #expect(throws: StoreError.self) {
            try await Subject(script).store.get(key)
        }
        #expect(error?.code == .damaged)
        #expect(script.requests[0].header("accept-encoding") == nil)
    }

    @Test func `absence is what the store says, and nothing else`() async throws {
        func head(_ step: @escaping Script.Step) async throws -> ObjectInfo? {
            try await Subject(Script([step]), policy: .once).store.head(key)
        }
        #expect(try await head(Script.answer(404)) == nil)
        #expect(
            try await head(
                Script.answer(404, [("x-amz-request-id", "1"), ("content-type", "text/html")])
            ) == nil
        )
        for step in [
            Script.answer(404, [("content-type", "text/html; charset=utf-8")]),
            Script.answer(403), Script.answer(502), Script.fails(.timedOut),
        ] {
            await #expect(throws: StoreError.self) { _ = try await head(step) }
        }
        func get(_ step: @escaping Script.Step) async throws -> StoreError? {
            let subject = try Subject(Script([step]), policy: .once)
            do {
                _ = try await subject.store.get(key)
                return nil
            } catch {
                return error
            }
        }
        #expect(try await get(Script.error(404, "NoSuchKey"))?.code == .notFound)
        #expect(try await get(Script.error(404, "NoSuchBucket"))?.code == .noBucket)
        let html = try await get(Script.answer(404, [], "<!DOCTYPE html><html><h1>Not Found</h1>"))
        #expect(html?.code == .unreachable)
        #expect(html?.description.contains("not in the words of S3") == true)
        #expect(try await get(Script.answer(404))?.code == .unreachable)
        #expect(try await get(Script.answer(403, [], "<html>blocked</html>"))?.code == .unreachable)
    }

    @Test func `size, tag and time of an object`() async throws {
        let script = Script([
            Script.answer(
                200,
                [
                    ("Content-Length", "42"), ("ETag", "\"abc\""),
                    ("Last-Modified", "Fri, 24 May 2013 00:00:01 GMT"),
                ]
            )
        ])
        let info = try #require(try await Subject(script).store.head(key))
        #expect(info.size == 42)
        #expect(info.entityTag == "\"abc\"")
        #expect(info.modified?.description == "2013-05-24T00:00:01.000Z")
        #expect(script.requests[0].url == "http://127.0.0.1:9000/bucket/pre/fix/k")
    }
}

extension RetryPolicy {
    /// No second attempt.
    static let once = RetryPolicy(attempts: 1, connectionAttempts: 1, budgetMilliseconds: 1000)
}
