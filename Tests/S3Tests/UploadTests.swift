import Bytes
import Digests
import HTTPTransport
import ObjectStorage
import S3
import Synchronization
import Testing

@Suite struct UploadTests {
    typealias Script = ScriptedTransport
    let key = ObjectKey("k")!

    /// A body of so many bytes in pieces, whose length nobody knows, and which may break.
    struct Pieces: ObjectBody {
        var left: Int
        var piece = 1_000_003
        var breaksAtEnd = false
        var read: @Sendable (_ count: Int) -> Void = { _ in }
        var byteCount: UInt64? { nil }
        struct Broken: Error {}

        mutating func next() async throws -> [UInt8]? {
            guard left > 0 else {
                if breaksAtEnd { throw Broken() }
                return nil
            }
            let count = min(left, piece)
            left -= count
            read(count)
            return [UInt8](repeating: UInt8(truncatingIfNeeded: left), count: count)
        }
    }

    /// A store that takes uploads, and counts what it was sent.
    final class Uploads: Sendable {
        struct State {
            var created = 0
            var parts: [Int: Int] = [:]
            var token = ""
            var aborted = 0
            var completed: String?
        }
        let state = Mutex(State())
        let refuses: @Sendable (HTTPRequest) -> Script.Step?

        init(refuses: @Sendable @escaping (HTTPRequest) -> Script.Step? = { _ in nil }) {
            self.refuses = refuses
        }

        func answer(_ request: HTTPRequest) throws(TransferError) -> HTTPResponse {
            if let step = refuses(request) { return try step(request) }
            return try state.withLock { state throws(TransferError) in
                try take(request, &state)
            }
        }

        private func take(
            _ request: HTTPRequest,
            _ state: inout State
        ) throws(TransferError) -> HTTPResponse {
            let query = request.url.split(separator: "?").dropFirst().first ?? ""
            switch request.method {
            case .post where query == "uploads=":
                state.created += 1
                state.token = request.header("x-amz-meta-highwater-attempt") ?? ""
                let text = "<R><UploadId>U/1</UploadId></R>"
                return try Script.answer(200, [], text)(request)
            case .put where query.contains("uploadId=U%2F1"):
                let number = Int(query.drop { $0 != "=" }.dropFirst().prefix { $0 != "&" }) ?? 0
                state.parts[number] = request.body.byteCount
                return try Script.answer(200, [("etag", "\"part\(number)\"")])(request)
            case .post:
                state.completed = String(
                    decoding: request.body.pieces.joined(),
                    as: UTF8.self
                )
                return try Script.answer(200, [], "\n\n<R><ETag>\"x-2\"</ETag></R>")(request)
            case .delete:
                state.aborted += 1
                return try Script.answer(204)(request)
            case .head:
                let size = state.parts.values.reduce(0, +)
                let headers = [
                    ("content-length", "\(size)"), ("x-amz-meta-highwater-attempt", state.token),
                ]
                return try Script.answer(state.completed == nil ? 404 : 200, headers)(request)
            default: return try Script.answer(200)(request)
            }
        }
    }

    func subject(_ uploads: Uploads, options: String = "") throws -> Subject {
        let script = Script(then: { request throws(TransferError) in try uploads.answer(request) })
        let url = "s3://bucket?endpoint=http://127.0.0.1:9000\(options)"
        return try Subject(script, url: url)
    }

    @Test(arguments: [0, 1, 8 << 20])
    func `what fits into a part is one request`(size: Int) async throws {
        let script = Script([Script.answer(200)])
        let subject = try Subject(script)
        try await subject.store.put(key, body: Pieces(left: size), ifAbsent: false)
        let request = try #require(script.requests.first)
        #expect(script.requests.count == 1)
        #expect(request.method == .put)
        #expect(request.body.byteCount == size)
        let pieces = request.body.pieces
        #expect(request.header("x-amz-content-sha256") == Hex.string(Digest.sha256(pieces)))
        let digest = try Digest.digest(.md5, pieces)
        #expect(request.header("content-md5") == Base64.encode(digest))
    }

    @Test func `a segment whose length is known is one request up to 32 MiB`() async throws {
        let script = Script([Script.answer(200)])
        let bytes = [UInt8](repeating: 1, count: 32 << 20)
        try await Subject(script).store.put(key, bytes: bytes)
        #expect(script.requests.map(\.body.byteCount) == [32 << 20])
    }

    @Test func `more goes in parts, and the object is confirmed`() async throws {
        let uploads = Uploads()
        let subject = try subject(uploads)
        try await subject.store.put(key, body: Pieces(left: 20 << 20), ifAbsent: false)
        let state = uploads.state.withLock { $0 }
        #expect(state.parts == [1: 8 << 20, 2: 8 << 20, 3: 4 << 20])
        #expect(state.created == 1)
        #expect(state.aborted == 0)
        #expect(
            state.completed?.contains("<PartNumber>3</PartNumber><ETag>&quot;part3&quot;</ETag>")
                == true
        )
        #expect(subject.transport.requests.last?.method == .head)
        #expect(subject.counters.values.requests[.uploadPart] == 3)
    }

    @Test func `a part is read when there is room for it`() async throws {
        let inMemory = Mutex((now: 0, most: 0))
        let uploads = Uploads { request in
            guard request.method == .put else { return nil }
            inMemory.withLock { $0.now -= request.body.byteCount }
            return nil
        }
        let subject = try subject(uploads)
        var body = Pieces(left: 100 << 20)
        body.read = { count in
            inMemory.withLock { memory in
                memory.now += count
                memory.most = max(memory.most, memory.now)
            }
        }
        try await subject.store.put(key, body: body, ifAbsent: false)
        #expect(subject.counters.values.requests[.uploadPart] == 13)
        // One piece more is read to know whether there is another part.
        #expect(inMemory.withLock { $0.most } <= Limits.uploadBufferBytes + body.piece)
    }

    @Test func `a part that fails is sent again, alone`() async throws {
        let failures = Mutex(3)
        let uploads = Uploads { request in
            guard request.url.contains("partNumber=2") else { return nil }
            let fails = failures.withLock { left in
                left -= 1
                return left >= 0
            }
            return fails ? Script.error(500, "InternalError") : nil
        }
        let subject = try subject(uploads)
        try await subject.store.put(key, body: Pieces(left: 20 << 20), ifAbsent: false)
        #expect(subject.counters.values.requests[.uploadPart] == 6)
        #expect(uploads.state.withLock { $0.aborted } == 0)
    }

    @Test func `an upload that fails is removed`() async throws {
        let uploads = Uploads { request in
            request.url.contains("partNumber=2") ? Script.error(403, "AccessDenied") : nil
        }
        let error = await #expect(throws: StoreError.self) {
            try await subject(uploads).store.put(key, body: Pieces(left: 20 << 20), ifAbsent: false)
        }
        #expect(error?.code == .accessDenied)
        #expect(uploads.state.withLock { ($0.aborted, $0.completed == nil) } == (1, true))
        let broken = Uploads()
        let bodyError = await #expect(throws: StoreError.self) {
            let body = Pieces(left: 20 << 20, breaksAtEnd: true)
            try await subject(broken).store.put(key, body: body, ifAbsent: false)
        }
        #expect(bodyError?.code == .bodyFailed)
        #expect(broken.state.withLock { $0.aborted } == 1)
    }

    @Test func `an error inside a 200 is an error`() async throws {
        let first = Mutex(true)
        let uploads = Uploads { request in
            guard request.method == .post, request.url.contains("uploadId") else { return nil }
            let isFirst = first.withLock { first in
                defer { first = false }
                return first
            }
            let text = "<Error><Code>InternalError</Code><Message>m</Message></Error>"
            return isFirst ? Script.answer(200, [], text) : nil
        }
        let subject = try subject(uploads)
        try await subject.store.put(key, body: Pieces(left: 9 << 20), ifAbsent: false)
        #expect(subject.counters.values.requests[.completeUpload] == 2)
    }

    @Test func `a completion whose answer was lost is recognised`() async throws {
        let attempts = Mutex(0)
        let uploads = Uploads()
        let script = Script(then: { request throws(TransferError) in
            guard request.method == .post, request.url.contains("uploadId") else {
                return try uploads.answer(request)
            }
            let attempt = attempts.withLock { count in
                count += 1
                return count
            }
            if attempt > 1 { return try Script.error(404, "NoSuchUpload")(request) }
            _ = try uploads.answer(request)
            throw TransferError(.interrupted, "lost", mayHaveArrived: true)
        })
        let subject = try Subject(script, url: "s3://bucket?endpoint=http://127.0.0.1:9000")
        try await subject.store.put(key, body: Pieces(left: 9 << 20), ifAbsent: false)
        #expect(uploads.state.withLock { $0.aborted } == 0)
        // Somebody else's object is no success.
        let other = Uploads { request in
            switch request.method {
            case .post where request.url.contains("uploadId"):
                Script.error(404, "NoSuchUpload")
            case .head: Script.answer(200, [("content-length", "\(9 << 20)")])
            default: nil
            }
        }
        await #expect(throws: StoreError.self) {
            try await self.subject(other).store.put(
                key,
                body: Pieces(left: 9 << 20),
                ifAbsent: false
            )
        }
    }

    @Test func `parts grow so that ten thousand of them are enough`() throws {
        let plain = S3Configuration(bucket: "bucket")
        let growing = UploadPlan(plain, byteCount: nil)
        #expect(growing.partSize(1) == 8 << 20)
        #expect(growing.partSize(10_000) == 64 << 20)
        #expect(growing.byteCountMax > 400 << 30)
        let known = UploadPlan(plain, byteCount: 1 << 40)
        #expect(known.partSize(1) * 10_000 >= 1 << 40)
        #expect(known.partSize(1) == known.partSize(9999))
        #expect(UploadPlan(plain, byteCount: 5 << 40).byteCountMax >= 5 << 40)
        let r2 = S3Configuration(
            bucket: "b",
            endpoint: Endpoint("https://x.r2.cloudflarestorage.com")
        )
        let equal = UploadPlan(r2, byteCount: nil)
        #expect(equal.partSize(1) == equal.partSize(9999))
    }
}

@Suite struct StaleUploadTests {
    typealias Script = ScriptedTransport

    @Test func `old uploads under the prefix are removed, young ones and others' are not`()
        async throws
    {
        func upload(_ key: String, _ time: String) -> String {
            "<Upload><Key>\(key)</Key><UploadId>\(key)-id</UploadId>"
                + "<Initiated>\(time)</Initiated></Upload>"
        }
        let old = "2026-01-01T00:00:00.000Z"
        let first =
            "<R><IsTruncated>true</IsTruncated><NextKeyMarker>pre/fix/a</NextKeyMarker>"
            + "<NextUploadIdMarker>i</NextUploadIdMarker>" + upload("pre/fix/a", old)
            + upload("other/b", old) + "</R>"
        let second =
            "<R><IsTruncated>false</IsTruncated>" + upload("pre/fix/c", old)
            + upload("pre/fix/d", "2026-03-01T00:00:00.000Z") + "</R>"
        let script = Script([
            Script.answer(200, [], first), Script.answer(200, [], second), Script.answer(204),
            Script.error(404, "NoSuchUpload"),
        ])
        let limit = try #require(Timestamp(rfc3339: "2026-02-01T00:00:00Z"))
        #expect(try await Subject(script).store.removeStaleUploads(prefix: "", before: limit) == 1)
        let urls = script.requests.map(\.url)
        #expect(urls.count == 4)
        #expect(urls[1].contains("key-marker=pre%2Ffix%2Fa"))
        #expect(urls[2].hasSuffix("/pre/fix/a?uploadId=pre%2Ffix%2Fa-id"))
        #expect(urls[3].contains("/pre/fix/c?"))
    }
}
