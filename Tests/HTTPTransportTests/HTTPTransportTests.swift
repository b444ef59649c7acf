import HTTPTransport
import Platform
import Synchronization
import TestSupport
import Testing

@Suite struct HTTPTransportTests {
    let transport = HTTPTransport()

    func get(_ server: LoopbackServer, _ path: String = "/", limit: Int = 1 << 20) -> HTTPRequest {
        HTTPRequest(.get, url: server.origin + path, responseLimit: limit)
    }

    @Test func `a request goes out as it is written, and connections are kept`() async throws {
        let server = try LoopbackServer { request in
            LoopbackServer.Answer(200, [("X-One", " a  b "), ("x-one", "c")], text: request.target)
        }
        let path = "/a/../b//c%20d/+?x=%2F&y="
        var request = get(server, path)
        request.headers = [HTTPHeader("x-empty", ""), HTTPHeader("x-blank", "two  blanks")]
        // Among many other tests there may be minutes between two requests.
        request.options.idleConnectionSeconds = 3600
        let first = try await transport.send(request)
        let second = try await transport.send(request)
        #expect(first.status == 200)
        #expect(String(decoding: first.body, as: UTF8.self) == path)
        #expect(first.header("X-ONE") == "a  b")
        #expect(first.head.headers.filter { $0.name.lowercased() == "x-one" }.count == 2)
        #expect(second.body == first.body)
        let seen = server.requests
        #expect(seen.map(\.connection) == [1, 1])
        #expect(seen[0].header("x-empty") == "")
        #expect(seen[0].header("x-blank") == "two  blanks")
        #expect(seen[0].header("expect") == nil)
    }

    @Test(arguments: [0, 1, 300_000, 3_000_000])
    func `a body is sent piece by piece, with its length`(size: Int) async throws {
        let server = try LoopbackServer { request in
            LoopbackServer.Answer(200, text: "\(request.body.count)")
        }
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let pieces = stride(from: 0, to: size, by: 70_001).map {
            Array(bytes[$0..<min($0 + 70_001, size)])
        }
        for method in [HTTPRequest.Method.put, .post] {
            var request = HTTPRequest(method, url: server.origin + "/x", responseLimit: 100)
            request.body = HTTPBody([[]] + pieces)
            let response = try await transport.send(request)
            #expect(response.status == 200)
        }
        for request in server.requests {
            #expect(request.body == bytes)
            #expect(request.header("content-length") == "\(size)")
            #expect(request.header("content-type") == nil)
            #expect(request.header("transfer-encoding") == nil)
            #expect((request.header("expect") != nil) == (size >= 1 << 20))
        }
        #expect(server.requests.map(\.method) == ["PUT", "POST"])
    }

    @Test func `HEAD and DELETE have no body to wait for`() async throws {
        let server = try LoopbackServer { _ in
            LoopbackServer.Answer(200, [("Content-Length", "12345")])
        }
        let url = server.origin + "/x"
        let head = try await transport.send(HTTPRequest(.head, url: url, responseLimit: 0))
        #expect(head.header("content-length") == "12345")
        #expect(head.body.isEmpty)
        let other = try LoopbackServer { _ in LoopbackServer.Answer(204) }
        let gone = HTTPRequest(.delete, url: other.origin + "/x", responseLimit: 0)
        #expect(try await transport.send(gone).status == 204)
        #expect(other.requests.map(\.method) == ["DELETE"])
    }

    @Test func `many at once`() async throws {
        let server = try LoopbackServer { request in
            LoopbackServer.Answer(200, text: request.target)
        }
        let transport = transport
        let answers = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<64 {
                let request = get(server, "/\(number)")
                group.addTask {
                    String(decoding: try await transport.send(request).body, as: UTF8.self)
                }
            }
            var answers: Set<String> = []
            for try await answer in group { answers.insert(answer) }
            return answers
        }
        #expect(answers.count == 64)
    }

    @Test func `a long answer is an error, a long error is cut`() async throws {
        let server = try LoopbackServer { request in
            LoopbackServer.Answer(
                request.target == "/ok" ? 200 : 403,
                body: [UInt8](repeating: 65, count: 2_000_000)
            )
        }
        let error = await #expect(throws: TransferError.self) {
            try await transport.send(get(server, "/ok", limit: 1_999_999))
        }
        #expect(error?.code == .tooLarge)
        #expect(
            try await transport.send(get(server, "/ok", limit: 2_000_000)).body.count == 2_000_000
        )
        let refused = try await transport.send(get(server, "/no", limit: 10))
        #expect(refused.status == 403)
        #expect(refused.body.count == Limits.errorBodyBytes)
    }

    @Test func `endless headers are an error`() async throws {
        let server = try LoopbackServer(handle: { connection in
            guard connection.readRequest() != nil else { return }
            _ = connection.send("HTTP/1.1 200 OK\r\n")
            let line = "X-Filler: " + String(repeating: "x", count: 8000) + "\r\n"
            while connection.send(line) {}
        })
        let error = await #expect(throws: TransferError.self) {
            try await transport.send(get(server))
        }
        #expect(error?.isRetryable == false)
    }

    @Test func `a body larger than the buffers is handed on as fast as it is taken`() async throws {
        let total = 48 << 20
        let sent = Mutex(0)
        let server = try LoopbackServer(handle: { connection in
            guard connection.readRequest() != nil else { return }
            _ = connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(total)\r\n\r\n")
            let chunk = [UInt8](repeating: 7, count: 1 << 20)
            for _ in 0..<48 {
                guard connection.send(chunk) else { return }
                sent.withLock { $0 += chunk.count }
            }
            connection.waitForEnd()
        })
        let received = Mutex((bytes: 0, sentAtFirst: 0))
        let response = try await transport.send(get(server, limit: total)) { head, piece in
            #expect(head.status == 200)
            let isFirst = received.withLock { $0.bytes == 0 }
            if isFirst { try await Task.sleep(for: .milliseconds(300)) }
            received.withLock { state in
                if isFirst { state.sentAtFirst = sent.withLock { $0 } }
                state.bytes += piece.count
            }
        }
        #expect(response.status == 200)
        #expect(received.withLock { $0.bytes } == total)
        #expect(received.withLock { $0.sentAtFirst } < total / 2)
    }

    @Test func `the reader's error ends a streamed transfer`() async throws {
        struct Enough: Error {}
        let server = try LoopbackServer(handle: { connection in
            guard connection.readRequest() != nil else { return }
            _ = connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            let chunk = [UInt8](repeating: 7, count: 1 << 20)
            while connection.send(chunk) {}
        })
        await #expect(throws: Enough.self) {
            _ = try await transport.send(get(server)) { _, _ in throw Enough() }
        }
    }
}
