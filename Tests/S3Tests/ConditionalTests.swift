import HTTPTransport
import ObjectStorage
import S3
import Synchronization
import Testing

@Suite struct ConditionalTests {
    typealias Script = ScriptedTransport
    let key = ObjectKey("k")!

    /// A small store in memory that honours conditions, or does not.
    final class Bucket: Sendable {
        enum Kind { case honours, ignores, refuses }
        struct Object {
            var body: [UInt8]
            var token: String?
        }
        let kind: Kind
        let objects = Mutex<[String: Object]>([:])
        /// Loses the next answer to a conditional write.
        let losesAnswer = Mutex(false)

        init(_ kind: Kind) { self.kind = kind }

        func answer(_ request: HTTPRequest) throws(TransferError) -> HTTPResponse {
            let path = String(request.url.split(separator: "?")[0])
            let step = objects.withLock { objects -> Script.Step in
                switch request.method {
                case .put:
                    let isConditional = request.header("if-none-match") != nil
                    if isConditional, kind == .refuses {
                        return Script.error(501, "NotImplemented")
                    }
                    if isConditional, kind == .honours, objects[path] != nil {
                        return Script.error(412, "PreconditionFailed")
                    }
                    objects[path] = Object(
                        body: Array(request.body.pieces.joined()),
                        token: request.header("x-amz-meta-highwater-attempt")
                    )
                    return Script.answer(200)
                case .head:
                    guard let object = objects[path] else { return Script.answer(404) }
                    var headers = [("content-length", "\(object.body.count)")]
                    if let token = object.token {
                        headers.append(("x-amz-meta-highwater-attempt", token))
                    }
                    return Script.answer(200, headers)
                case .get:
                    guard let object = objects[path] else { return Script.error(404, "NoSuchKey") }
                    return Script.answer(200, [], String(decoding: object.body, as: UTF8.self))
                default:
                    objects[path] = nil
                    return Script.answer(204)
                }
            }
            let response = try step(request)
            let isLost = losesAnswer.withLock { loses in
                guard request.header("x-amz-meta-highwater-attempt") != nil else { return false }
                defer { loses = false }
                return loses
            }
            if isLost { throw TransferError(.interrupted, "lost", mayHaveArrived: true) }
            return response
        }
    }

    func subject(_ bucket: Bucket) throws -> Subject {
        try Subject(Script(then: { request throws(TransferError) in try bucket.answer(request) }))
    }

    @Test(arguments: [Bucket.Kind.honours, .ignores, .refuses])
    func `what exists is not overwritten, whatever the store`(kind: Bucket.Kind) async throws {
        let bucket = Bucket(kind)
        let subject = try subject(bucket)
        try await subject.store.put(key, bytes: [1], ifAbsent: true)
        let error = await #expect(throws: StoreError.self) {
            try await subject.store.put(key, bytes: [2], ifAbsent: true)
        }
        #expect(error?.code == .preconditionFailed)
        #expect(try await subject.store.get(key) == [1])
        let expected = kind == .honours ? ConditionalWrites.supported : .unsupported
        #expect(try await subject.store.conditionalWrites() == expected)
        // The probe leaves nothing behind, and is made once.
        #expect(bucket.objects.withLock { $0.count } == 1)
        let probes = subject.transport.requests.filter { $0.url.contains("/.probe/") }
        #expect(probes.count == (kind == .refuses ? 1 : 4))
    }

    @Test func `a refusal of our own repeated write is a success`() async throws {
        let bucket = Bucket(.honours)
        let subject = try subject(bucket)
        #expect(try await subject.store.conditionalWrites() == .supported)
        bucket.losesAnswer.withLock { $0 = true }
        try await subject.store.put(key, bytes: [1], ifAbsent: true)
        #expect(try await subject.store.get(key) == [1])
    }

    @Test func `stores that are known not to honour it are not probed`() async throws {
        let script = Script([Script.answer(404), Script.answer(200)])
        let url = "s3://bucket?endpoint=https://s3.eu-central-003.backblazeb2.com"
        let subject = try Subject(script, url: url)
        try await subject.store.put(key, bytes: [1], ifAbsent: true)
        #expect(script.requests.map(\.method) == [.head, .put])
        #expect(script.requests[1].header("if-none-match") == nil)
    }
}

@Suite struct DeletingTests {
    typealias Script = ScriptedTransport

    func keys(_ count: Int) -> [ObjectKey] { (0..<count).map { ObjectKey("k&\($0)")! } }

    @Test func `a thousand a request, with a digest`() async throws {
        let script = Script(then: Script.answer(200, [], "<DeleteResult/>"))
        let subject = try Subject(script)
        try await subject.store.delete(keys(2500))
        #expect(script.requests.count == 3)
        let body = String(decoding: script.requests[0].body.pieces.joined(), as: UTF8.self)
        #expect(body.contains("<Object><Key>pre/fix/k&amp;0</Key></Object>"))
        #expect(body.contains("<Quiet>true</Quiet>"))
        #expect(script.requests[0].url.hasSuffix("/bucket?delete="))
        #expect(script.requests[0].header("content-md5") != nil)
    }

    @Test func `one key is one DELETE, and its absence is fine`() async throws {
        let script = Script([Script.error(404, "NoSuchKey"), Script.answer(204)])
        let subject = try Subject(script)
        try await subject.store.delete(keys(1))
        try await subject.store.delete(keys(1))
        try await subject.store.delete([])
        #expect(script.requests.map(\.method) == [.delete, .delete])
    }

    @Test func `keys that failed are tried alone, and named`() async throws {
        let text =
            "<DeleteResult><Error><Key>pre/fix/k&amp;1</Key><Code>InternalError</Code>"
            + "</Error><Error><Key>pre/fix/k&amp;2</Key><Code>NoSuchKey</Code></Error>"
            + "</DeleteResult>"
        let script = Script([Script.answer(200, [], text), Script.error(403, "AccessDenied")])
        let subject = try Subject(script)
        let error = await #expect(throws: StoreError.self) {
            try await subject.store.delete(keys(3))
        }
        #expect(error?.code == .accessDenied)
        #expect(error?.object == "s3://bucket/pre/fix/k&1")
        #expect(script.requests.map(\.method) == [.post, .delete])
    }

    @Test func `stores without batches are asked one by one from then on`() async throws {
        let script = Script([Script.error(501, "NotImplemented")], then: Script.answer(204))
        let subject = try Subject(script)
        try await subject.store.delete(keys(3))
        try await subject.store.delete(keys(2))
        #expect(
            script.requests.map(\.method) == [.post, .delete, .delete, .delete, .delete, .delete]
        )
    }

    @Test(arguments: [
        "<html/>", "nonsense", "<DeleteResult><Error><Code>x</Code></Error></DeleteResult>",
    ])
    func `an answer that is none is an error`(text: String) async throws {
        let script = Script([Script.answer(200, [], text)])
        await #expect(throws: StoreError.self) { try await Subject(script).store.delete(keys(2)) }
    }
}
