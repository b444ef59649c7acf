import HTTPTransport
import Platform
import Synchronization
import TestSupport
import Testing

@testable import HTTPServer

/// The server on a real unix socket, with real clients, some of which misbehave.
@Suite struct HTTPServerTests {
    /// A server that answers with what it was asked, and ends with the body.
    private func serving(
        answer: @Sendable @escaping (HTTPServerRequest) async -> HTTPServerResponse = { request in
            let text = "\(request.method) \(request.path) \(request.query) \(request.body.count)"
            return HTTPServerResponse(body: Array(text.utf8))
        },
        _ body: @Sendable @escaping (String) async throws -> Void
    ) async throws {
        let folder = TemporaryFolder()
        let path = folder.file("socket")
        let server = try HTTPServer(listener: LocalSocket.listen(atPath: path, permissions: 0o600))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await server.run(answer) }
            group.addTask {
                defer { server.stop() }
                try await body(path)
            }
            try await group.waitForAll()
        }
    }

    private func ask(
        _ path: String,
        _ target: String,
        _ method: HTTPRequest.Method = .get,
        body: [UInt8] = []
    ) async throws -> HTTPResponse {
        var request = HTTPRequest(method, url: "http://localhost\(target)", responseLimit: 1 << 20)
        request.options.socketPath = path
        request.options.proxy = .none
        request.options.asksBeforeLargeBodies = false
        request.body = HTTPBody([body])
        return try await HTTPTransport().send(request)
    }

    private func text(_ response: HTTPResponse) -> String {
        String(decoding: response.body, as: UTF8.self)
    }

    @Test func `a request comes in whole and gets its answer`() async throws {
        try await serving { path in
            let got = try await ask(path, "/a/b?c=d%20e")
            #expect(got.status == 200)
            #expect(text(got) == "GET /a/b [\"c\": \"d e\"] 0")
            let body = [UInt8](repeating: 7, count: HTTPServer.bodyMax)
            let posted = try await ask(path, "/x", .post, body: body)
            #expect(text(posted) == "POST /x [:] \(HTTPServer.bodyMax)")
        }
    }

    @Test func `a body without end is refused, and nobody else notices`() async throws {
        try await serving { path in
            let body = [UInt8](repeating: 7, count: HTTPServer.bodyMax + 1)
            let refused = try await ask(path, "/", .post, body: body)
            #expect(refused.status == 413)
            // Without an announced length the connection is closed once it is too much.
            let client = try LocalSocket.connect(toPath: path, milliseconds: 10_000)
            try LocalSocket.send(
                Array("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".utf8),
                to: client.rawValue
            )
            let chunk = Array("4000\r\n".utf8) + [UInt8](repeating: 7, count: 0x4000) + [13, 10]
            var isCutOff = false
            for _ in 0..<1000 where !isCutOff {
                do { try LocalSocket.send(chunk, to: client.rawValue) } catch { isCutOff = true }
            }
            #expect(isCutOff, "16 MB were taken")
            #expect(try await ask(path, "/after").status == 200)
        }
    }

    @Test func `clients that hang take places, and time gives them back`() async throws {
        try await serving { path in
            var hanging: [HangingClient] = []
            for _ in 0..<Int(HTTPServer.connectionsMax) {
                hanging.append(
                    HangingClient(try LocalSocket.connect(toPath: path, milliseconds: 60_000))
                )
            }
            for client in hanging {
                try LocalSocket.send(
                    Array("POST /sync HTTP/1.1\r\n".utf8),
                    to: client.socket.rawValue
                )
            }
            // All places are taken; this one waits until the server has cut the others off.
            #expect(try await ask(path, "/after").status == 200)
        }
    }

    @Test func `an answer that takes long holds up no other`() async throws {
        let gate = StopSignal()
        try await serving(answer: { request in
            if request.path == "/slow" { await gate.wait() }
            return HTTPServerResponse(body: Array(request.path.utf8))
        }) { path in
            async let slow = ask(path, "/slow")
            let fast = try await ask(path, "/fast")
            #expect(text(fast) == "/fast")
            gate.open()
            let answer = try await slow
            #expect(text(answer) == "/slow")
        }
    }

    @Test func `a socket that is in use is not taken, one that is left over is`() throws {
        let folder = TemporaryFolder()
        let path = folder.file("socket")
        do {
            let listener = try LocalSocket.listen(atPath: path, permissions: 0o600)
            #expect(throws: SystemError.self) {
                _ = try LocalSocket.listen(atPath: path, permissions: 0o600)
            }
            _ = consume listener
        }
        let again = try LocalSocket.listen(atPath: path, permissions: 0o600)
        _ = consume again
        #expect(try FileSystem.status(path)?.permissions == 0o600)
    }

    @Test(arguments: [0o000, 0o600, 0o660, 0o666, 0o777] as [UInt32])
    func `a socket has the mode that was asked for, whatever the umask`(mode: UInt32) throws {
        let folder = TemporaryFolder()
        let path = folder.file("socket")
        let listener = try LocalSocket.listen(atPath: path, permissions: mode)
        #expect(try FileSystem.status(path)?.permissions == mode)
        _ = consume listener
    }
}

/// A connection that is kept.
private final class HangingClient: Sendable {
    let socket: FileDescriptor

    init(_ socket: consuming FileDescriptor) { self.socket = socket }
}

/// Lets a task wait for another.
private final class StopSignal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func open() { continuation.finish() }

    func wait() async { for await _ in stream {} }
}
