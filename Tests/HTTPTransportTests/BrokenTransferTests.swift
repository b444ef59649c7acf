import HTTPTransport
import TestSupport
import Testing

@Suite struct BrokenTransferTests {
    let transport = HTTPTransport()

    func get(_ server: LoopbackServer, _ path: String = "/") -> HTTPRequest {
        HTTPRequest(.get, url: server.origin + path, responseLimit: 1 << 20)
    }

    func error(of request: HTTPRequest) async -> TransferError? {
        await #expect(throws: TransferError.self) { try await transport.send(request) }
    }

    @Test func `nobody listens`() async throws {
        let server = try LoopbackServer { _ in LoopbackServer.Answer(200) }
        server.stop()
        let port = server.port
        let url = "http://127.0.0.1:\(port)/"
        let error = await error(of: HTTPRequest(.get, url: url, responseLimit: 0))
        #expect(error?.code == .unconnected)
        #expect(error?.isRetryable == true)
        #expect(error?.mayHaveArrived == false)
    }

    @Test(arguments: ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://", "nonsense"])
    func `what is no address of the web`(url: String) async {
        let error = await error(of: HTTPRequest(.get, url: url, responseLimit: 100))
        #expect(error?.code == .invalidURL || error?.code == .unresolved)
    }

    @Test func `an answer that breaks off hands over what came of it`() async throws {
        let server = try LoopbackServer(handle: { connection in
            guard let request = connection.readRequest() else { return }
            _ = connection.send("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 10\r\n\r\nabcd")
            if request.target == "/reset" { connection.reset() }
        })
        let error = await error(of: get(server))
        #expect(error?.code == .interrupted)
        #expect(error?.mayHaveArrived == true)
        #expect(error?.partial?.body == Array("abcd".utf8))
        #expect(error?.partial?.header("etag") == "\"a\"")
        #expect(await self.error(of: get(server, "/reset"))?.code == .interrupted)
    }

    @Test func `a connection that dies while idle is replaced, and the body sent again`()
        async throws
    {
        let server = try LoopbackServer(handle: { connection in
            guard let request = connection.readRequest() else { return }
            _ = connection.send(LoopbackServer.Answer(200), to: request)
            if connection.number == 1 {
                // Takes the next request, and dies before it answers.
                _ = connection.readRequest()
                connection.reset()
            }
        })
        _ = try await transport.send(get(server))
        var request = HTTPRequest(.put, url: server.origin + "/x", responseLimit: 100)
        request.body = HTTPBody([[1, 2, 3], [UInt8](repeating: 4, count: 100_000)])
        #expect(try await transport.send(request).status == 200)
        let last = try #require(server.requests.last)
        #expect(last.connection == 2)
        #expect(last.body.count == 100_003)
    }

    @Test func `an answer that does not begin in time`() async throws {
        let server = try LoopbackServer(handle: { connection in
            guard connection.readRequest() != nil else { return }
            connection.waitForEnd()
        })
        var request = HTTPRequest(.put, url: server.origin + "/x", responseLimit: 100)
        request.body = HTTPBody([[1, 2, 3]])
        request.options.firstByteMilliseconds = 150
        let error = await error(of: request)
        #expect(error?.code == .timedOut)
        #expect(error?.mayHaveArrived == true)
        #expect(error?.description.contains("150 ms") == true)
    }

    @Test func `an answer that hangs in the middle`() async throws {
        let server = try LoopbackServer(handle: { connection in
            guard connection.readRequest() != nil else { return }
            _ = connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcd")
            connection.waitForEnd()
        })
        var request = get(server)
        request.options.lowSpeedSeconds = 1
        let error = await error(of: request)
        #expect(error?.code == .timedOut)
        #expect(error?.partial?.body.count == 4)
        request.options.lowSpeedSeconds = 30
        request.options.totalMilliseconds = 200
        #expect(await self.error(of: request)?.code == .timedOut)
    }

    @Test(.timeLimit(.minutes(10)))
    func `a cancelled task ends its transfer at once`() async throws {
        let arrived = AsyncStream.makeStream(of: Void.self)
        let ended = AsyncStream.makeStream(of: Void.self)
        let server = try LoopbackServer(handle: { connection in
            guard connection.readRequest() != nil else { return }
            arrived.continuation.yield()
            connection.waitForEnd()
            ended.continuation.yield()
        })
        let (transport, request) = (transport, get(server))
        let task = Task { try await transport.send(request) }
        for await _ in arrived.stream { break }
        task.cancel()
        let error = await #expect(throws: TransferError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        for await _ in ended.stream { break }
        let before = Task { try await transport.send(request) }
        before.cancel()
        await #expect(throws: TransferError.self) { try await before.value }
    }

    @Test func `what is not HTTP`() async throws {
        let server = try LoopbackServer(handle: { connection in
            guard connection.readRequest() != nil else { return }
            _ = connection.send("SSH-2.0-OpenSSH_9.2\r\n")
        })
        #expect(await error(of: get(server)) != nil)
        let silent = try LoopbackServer(handle: { _ in })
        #expect(await error(of: get(silent))?.code == .interrupted)
    }

    @Test func `TLS to a port that does not speak it`() async throws {
        let server = try LoopbackServer(handle: { connection in
            _ = connection.send("HTTP/1.1 400 Bad Request\r\n\r\n")
        })
        let url = "https://127.0.0.1:\(server.port)/"
        let error = await error(of: HTTPRequest(.get, url: url, responseLimit: 0))
        #expect(error?.code == .handshake)
        #expect(error?.mayHaveArrived == false)
    }

    @Test(arguments: [HTTPRequest.Method.get, .put])
    func `a connection that takes too long carried no request`(
        method: HTTPRequest.Method
    ) async throws {
        let server = try LoopbackServer(handle: { $0.waitForEnd() })
        let url = "https://127.0.0.1:\(server.port)/"
        var request = HTTPRequest(method, url: url, responseLimit: 0)
        request.options.connectMilliseconds = 150
        let error = await error(of: request)
        #expect(error?.code == .timedOut)
        #expect(error?.mayHaveArrived == false)
    }

    @Test func `a CA file that is not there`() async throws {
        let server = try LoopbackServer { _ in LoopbackServer.Answer(200) }
        let url = "https://127.0.0.1:\(server.port)/"
        var request = HTTPRequest(.get, url: url, responseLimit: 0)
        request.options.authorityFile = "/nowhere/ca.pem"
        let error = await error(of: request)
        #expect(error?.code == .untrusted)
        #expect(error?.isRetryable == false)
    }
}
