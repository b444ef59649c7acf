import CMicroHTTPD
package import Platform
import Synchronization

/// A request that came in whole.
package struct HTTPServerRequest: Sendable {
    /// `GET`, `POST`, ….
    package let method: String
    /// The path without the query.
    package let path: String
    /// The query's values; the last one of each name.
    package let query: [String: String]
    /// The body.
    package let body: [UInt8]
}

/// An answer.
package struct HTTPServerResponse: Sendable {
    /// The status code.
    package var status: UInt32
    /// The media type of the body.
    package var type: String
    /// The body.
    package var body: [UInt8]

    /// An answer.
    package init(status: UInt32 = 200, type: String = "text/plain; charset=utf-8", body: [UInt8]) {
        self.status = status
        self.type = type
        self.body = body
    }
}

/// An HTTP/1.1 server for a few local clients, with libmicrohttpd on one thread.
///
/// A client that hangs, or sends without end, costs a bounded amount of memory and one of
/// `connectionsMax` places, and is cut off after `idleSeconds`; it delays nobody else. While an
/// answer is being made its connection waits without a limit.
package final class HTTPServer: Sendable {
    /// Connections at a time.
    package static let connectionsMax: UInt32 = 64
    /// Seconds after which a silent client is cut off.
    package static let idleSeconds: UInt32 = 10
    /// Bytes of a request's body.
    package static let bodyMax = 64 * 1024
    private static let connectionMemory = 32 * 1024

    private let requests: AsyncStream<Exchange>
    private let desk: Desk
    private let daemon: Mutex<Daemon?>

    /// Serves what connects to `listener`, which has to listen already.
    ///
    /// - Throws: `ENOMEM` or `EMFILE` when libmicrohttpd cannot begin.
    package init(listener: consuming FileDescriptor) throws(SystemError) {
        let (requests, inbox) = AsyncStream.makeStream(of: Exchange.self)
        self.requests = requests
        let desk = Desk(inbox)
        self.desk = desk
        let number = listener.relinquish()
        let daemon = hw_httpd_start(
            number,
            Self.connectionsMax,
            Self.idleSeconds,
            Self.connectionMemory,
            Desk.handle,
            Desk.completed,
            Unmanaged.passUnretained(desk).toOpaque()
        )
        guard let daemon else {
            _ = FileDescriptor(owning: number)
            throw SystemError.last("MHD_start_daemon")
        }
        self.daemon = Mutex(Daemon(raw: daemon))
    }

    deinit { stopServing() }

    /// Answers requests, several at a time, until `stop`. Call it once.
    package func run(
        _ answer: @Sendable @escaping (HTTPServerRequest) async -> HTTPServerResponse
    ) async {
        await withDiscardingTaskGroup { group in
            for await exchange in requests {
                group.addTask { exchange.answer(await answer(exchange.request)) }
            }
        }
        // No connection may be suspended then (MHD_stop_daemon(3)): all have their answers.
        stopServing()
    }

    /// Takes no more requests, and lets `run` end; those that are there get their answer.
    package func stop() { desk.close() }

    private func stopServing() {
        desk.close()
        let daemon = daemon.withLock { $0.take() }
        if let daemon { MHD_stop_daemon(daemon.raw) }
    }

    /// The daemon's address may cross threads: libmicrohttpd locks for itself.
    private struct Daemon: @unchecked Sendable {
        let raw: OpaquePointer
    }
}
