import CCurl
import Platform
import Synchronization

/// What sends requests: the machine's network, or a test.
package protocol HTTPSending: Sendable {
    /// Sends a request and returns the whole answer, whatever its status.
    func send(_ request: HTTPRequest) async throws(TransferError) -> HTTPResponse
}

/// HTTP/1.1 over libcurl: every transfer of the process on one thread of its own, connections
/// kept for the next request. The thread begins with the first request and sleeps without one.
package final class HTTPTransport: HTTPSending {
    /// The process's transport. Connections are shared, so there is no reason for a second one.
    package static let shared = HTTPTransport()

    private let engine = CurlEngine()
    private let lastID = Atomic<UInt64>(0)

    /// A transport with connections of its own.
    package init() {}

    /// As the protocol says. Cancelling the task ends the transfer.
    package func send(_ request: HTTPRequest) async throws(TransferError) -> HTTPResponse {
        let outcome = await run(request, stream: nil)
        let (head, body) = try outcome.get()
        return HTTPResponse(head: head, body: body)
    }

    /// Sends a request and hands the body of a successful answer to `receive`, piece by piece. The
    /// connection waits while `receive` does, so no more than `Limits.streamBufferBytes` pile up.
    /// An error's body comes with the returned answer and is not received.
    package func send(
        _ request: HTTPRequest,
        receive: @Sendable @escaping (HTTPResponseHead, [UInt8]) async throws -> Void
    ) async throws -> HTTPResponse {
        let stream = BodyStream()
        return try await withThrowingTaskGroup(of: HTTPResponse?.self) { group in
            group.addTask {
                let outcome = await self.run(request, stream: stream)
                stream.finish()
                let (head, body) = try outcome.get()
                return HTTPResponse(head: head, body: body)
            }
            group.addTask {
                while let (head, piece) = await stream.next() { try await receive(head, piece) }
                return nil
            }
            var response: HTTPResponse?
            for try await result in group { response = result ?? response }
            guard let response else { throw TransferError(.cancelled, "the task was cancelled") }
            return response
        }
    }

    /// libcurl's name and version and those of its libraries.
    package static func libraryVersion() throws(TransferError) -> String {
        try CurlEngine.load()
        return String(cString: hw_curl_version())
    }

    private func run(
        _ request: HTTPRequest,
        stream: BodyStream?
    ) async -> CurlEngine.Outcome {
        let id = lastID.add(1, ordering: .relaxed).newValue
        let engine = engine
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                engine.submit(
                    .start(
                        CurlEngine.Job(id: id, request: request, stream: stream) {
                            continuation.resume(returning: $0)
                        }
                    )
                )
                // The handler may have run before the job was there to be cancelled.
                if Task.isCancelled { engine.submit(.cancel(id)) }
            }
        } onCancel: {
            stream?.finish()
            engine.submit(.cancel(id))
        }
    }
}
