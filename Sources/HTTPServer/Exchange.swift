import CMicroHTTPD
import Synchronization

/// One request and its answer. Belongs to libmicrohttpd's thread until the request is whole, then
/// to whoever answers.
final class Exchange: @unchecked Sendable {
    // Sendable: `body` is written by libmicrohttpd's thread alone, before the request is handed
    // over; the rest is constant or behind the lock. `connection` is used by MHD_resume_connection,
    // which locks for itself.
    private let connection: OpaquePointer
    private let method: String
    private let path: String
    private let query: [String: String]
    private var body: [UInt8] = []
    private let response = Mutex<HTTPServerResponse?>(nil)
    private var isHandedOver = false

    init(_ connection: OpaquePointer, method: String, path: String) {
        self.connection = connection
        self.method = method
        self.path = path
        query = Self.query(of: connection)
    }

    var request: HTTPServerRequest {
        HTTPServerRequest(method: method, path: path, query: query, body: body)
    }

    /// Gives the answer; the connection goes on.
    func answer(_ response: HTTPServerResponse) {
        self.response.withLock { $0 = response }
        MHD_resume_connection(connection)
    }

    /// Part of the body came; false when there is more of it than anybody has to say.
    fileprivate func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard body.count + bytes.count <= HTTPServer.bodyMax else { return false }
        body += bytes
        return true
    }

    /// The request is whole: it is handed over, or its answer is sent.
    fileprivate func go(_ inbox: AsyncStream<Exchange>.Continuation) -> MHD_Result {
        if let response = response.withLock({ $0 }) { return send(response) }
        if isHandedOver { return .NO }
        isHandedOver = true
        MHD_suspend_connection(connection)
        if case .terminated = inbox.yield(self) {
            answer(HTTPServerResponse(status: 503, body: Array("the agent ends\n".utf8)))
        }
        return .YES
    }

    fileprivate func send(_ response: HTTPServerResponse) -> MHD_Result {
        let raw = response.body.withUnsafeBytes { hw_httpd_response($0.baseAddress, $0.count) }
        guard let raw else { return .NO }
        defer { MHD_destroy_response(raw) }
        MHD_add_response_header(raw, MHD_HTTP_HEADER_CONTENT_TYPE, response.type)
        return MHD_queue_response(connection, response.status, raw)
    }

    /// The length that the request says its body has.
    fileprivate var announcedLength: UInt64 {
        let text = MHD_lookup_connection_value(
            connection,
            .HEADER_KIND,
            MHD_HTTP_HEADER_CONTENT_LENGTH
        )
        return text.flatMap { UInt64(String(cString: $0)) } ?? 0
    }

    private static func query(of connection: OpaquePointer) -> [String: String] {
        final class Box { var values: [String: String] = [:] }
        let box = Box()
        MHD_get_connection_values(
            connection,
            .GET_ARGUMENT_KIND,
            { context, _, name, value in
                if let context, let name {
                    Unmanaged<Box>.fromOpaque(context).takeUnretainedValue()
                        .values[String(cString: name)] = value.map { String(cString: $0) } ?? ""
                }
                return .YES
            },
            Unmanaged.passUnretained(box).toOpaque()
        )
        return box.values
    }
}

/// What libmicrohttpd's thread calls.
final class Desk: Sendable {
    private let inbox: AsyncStream<Exchange>.Continuation

    init(_ inbox: AsyncStream<Exchange>.Continuation) { self.inbox = inbox }

    /// Takes no more requests.
    func close() { inbox.finish() }

    /// MHD_AccessHandlerCallback: once when the headers are there, for each piece of the body, when
    /// it is whole, and again when the connection was resumed.
    static let handle: MHD_AccessHandlerCallback = {
        context,
        connection,
        url,
        method,
        _,
        upload,
        size,
        slot in
        guard let context, let connection, let url, let method, let size, let slot else {
            return .NO
        }
        let desk = Unmanaged<Desk>.fromOpaque(context).takeUnretainedValue()
        guard let known = slot.pointee else {
            let exchange = Exchange(
                connection,
                method: String(cString: method),
                path: String(cString: url)
            )
            slot.pointee = Unmanaged.passRetained(exchange).toOpaque()
            guard exchange.announcedLength <= HTTPServer.bodyMax else {
                return exchange.send(
                    HTTPServerResponse(
                        status: 413,
                        type: "application/json",
                        body: Array(#"{"code":"invalid","error":"the body is too large"}"#.utf8)
                    )
                )
            }
            return .YES
        }
        let exchange = Unmanaged<Exchange>.fromOpaque(known).takeUnretainedValue()
        if size.pointee > 0 {
            let piece = UnsafeRawBufferPointer(start: upload, count: size.pointee)
            size.pointee = 0
            // A body without an announced length that does not end: the connection is closed.
            return exchange.append(piece) ? .YES : .NO
        }
        return exchange.go(desk.inbox)
    }

    /// MHD_RequestCompletedCallback: the exchange is over, however it ended.
    static let completed: MHD_RequestCompletedCallback = { _, _, slot, _ in
        guard let slot, let known = slot.pointee else { return }
        Unmanaged<Exchange>.fromOpaque(known).release()
        slot.pointee = nil
    }
}
