import Glibc
import Platform
import Synchronization

/// A server on 127.0.0.1 that does with each connection what the test says, on a thread of its
/// own. It listens until `stop()`, or as long as the process lives.
package final class LoopbackServer: Sendable {
    /// A request that has been read whole.
    package struct Request: Sendable {
        /// The method.
        package var method = ""
        /// Path and query as they came over the wire.
        package var target = ""
        /// Header lines, names in lower case.
        package var headers: [(name: String, value: String)] = []
        /// The body.
        package var body: [UInt8] = []
        /// Which connection it came over, from 1.
        package var connection = 0

        /// The first value of a header.
        package func header(_ name: String) -> String? {
            headers.first { $0.name == name }?.value
        }
    }

    /// The port, chosen by the kernel.
    package let port: Int
    /// `http://127.0.0.1:port`.
    package var origin: String { "http://127.0.0.1:\(port)" }
    private let listener: Listener

    /// The listening socket, closed when nobody uses it any more.
    private final class Listener: Sendable {
        let descriptor: FileDescriptor
        var rawValue: Int32 { descriptor.rawValue }

        init(_ number: Int32) { descriptor = FileDescriptor(owning: number) }
    }

    private let seen = Mutex<[Request]>([])

    /// All requests so far that `Connection.readRequest` has read.
    package var requests: [Request] { seen.withLock { $0 } }

    /// A server whose connections `handle` serves; a connection is closed when it returns.
    package init(handle: @Sendable @escaping (Connection) -> Void) throws {
        let number = try retryingInterrupts("socket") {
            socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        }
        let listener = Listener(number)
        self.listener = listener
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(number, raw, length) == 0 && listen(number, 128) == 0
                    && getsockname(number, raw, &length) == 0
            }
        }
        guard bound else { throw SystemError.last("bind") }
        port = Int(UInt16(bigEndian: address.sin_port))
        let record: @Sendable (Request) -> Void = { [weak self] request in
            self?.seen.withLock { $0.append(request) }
        }
        try DedicatedThread.start {
            var count = 0
            while true {
                let accepted = accept(listener.rawValue, nil, nil)
                if accepted < 0 {
                    if errno == EINTR || errno == ECONNABORTED { continue }
                    return
                }
                count += 1
                let connection = Connection(accepted, number: count, record: record)
                try? DedicatedThread.start {
                    handle(connection)
                    connection.close()
                }
            }
        }
    }

    /// A server that answers each request, and keeps connections open.
    package convenience init(
        answer: @Sendable @escaping (Request) -> Answer
    ) throws {
        try self.init(handle: { connection in
            while let request = connection.readRequest() {
                guard connection.send(answer(request), to: request) else { return }
            }
        })
    }

    /// Stops listening. The thread that accepts holds the descriptor until it has noticed.
    package func stop() { shutdown(listener.rawValue, Int32(SHUT_RDWR)) }

    /// What to answer.
    package struct Answer: Sendable {
        /// The status.
        package var status: Int
        /// Header lines; Content-Length comes by itself.
        package var headers: [(String, String)]
        /// The body.
        package var body: [UInt8]

        /// An answer.
        package init(_ status: Int, _ headers: [(String, String)] = [], body: [UInt8] = []) {
            self.status = status
            self.headers = headers
            self.body = body
        }

        /// An answer with a text.
        package init(_ status: Int, _ headers: [(String, String)] = [], text: String) {
            self.init(status, headers, body: Array(text.utf8))
        }
    }
}

extension LoopbackServer {
    /// One connection, used by its thread alone.
    package final class Connection: Sendable {
        /// Its number, from 1.
        package let number: Int
        private let descriptor: Int32
        private let record: @Sendable (Request) -> Void
        private let state = Mutex((pending: [UInt8](), isOpen: true))

        init(_ descriptor: Int32, number: Int, record: @Sendable @escaping (Request) -> Void) {
            self.descriptor = descriptor
            self.number = number
            self.record = record
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }

        /// The next request; nil when the other side has closed. `100 Continue` is sent when it is
        /// waited for.
        package func readRequest() -> Request? {
            guard let head = readHead() else { return nil }
            var lines = head.split(separator: "\r\n")
            let first = lines.removeFirst().split(separator: " ")
            guard first.count == 3 else { return nil }
            var request = Request()
            request.method = String(first[0])
            request.target = String(first[1])
            request.connection = number
            for line in lines {
                let sides = line.split(separator: ":", maxSplits: 1)
                let value = sides.count > 1 ? sides[1].drop { $0 == " " } : ""
                request.headers.append((sides[0].lowercased(), String(value)))
            }
            if request.header("expect") == "100-continue" {
                guard send("HTTP/1.1 100 Continue\r\n\r\n") else { return nil }
            }
            let length = request.header("content-length").flatMap { Int($0) } ?? 0
            guard let body = read(count: length) else { return nil }
            request.body = body
            record(request)
            return request
        }

        /// Sends an answer; false when the other side is gone.
        package func send(_ answer: Answer, to request: Request) -> Bool {
            var text = "HTTP/1.1 \(answer.status) Status\r\n"
            let names = answer.headers.map { $0.0.lowercased() }
            if !names.contains("content-length"), !names.contains("transfer-encoding") {
                text += "Content-Length: \(answer.body.count)\r\n"
            }
            for (name, value) in answer.headers { text += "\(name): \(value)\r\n" }
            text += "\r\n"
            return send(text) && (request.method == "HEAD" || send(answer.body))
        }

        /// Sends a text as it is.
        package func send(_ text: String) -> Bool { send(Array(text.utf8)) }

        /// Sends bytes as they are; false when the other side is gone.
        package func send(_ bytes: [UInt8]) -> Bool {
            var done = 0
            while done < bytes.count {
                let count = bytes.withUnsafeBytes {
                    Glibc.send(
                        descriptor,
                        $0.baseAddress! + done,
                        bytes.count - done,
                        Int32(MSG_NOSIGNAL)
                    )
                }
                guard count > 0 else { return false }
                done += count
            }
            return true
        }

        /// Waits until the other side closes, reading and dropping what comes.
        package func waitForEnd() {
            while read(count: 1) != nil {}
        }

        /// Closes with a reset instead of an end.
        package func reset() {
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(
                descriptor,
                SOL_SOCKET,
                SO_LINGER,
                &linger,
                socklen_t(MemoryLayout<Glibc.linger>.size)
            )
            close()
        }

        /// Closes the connection.
        package func close() {
            let wasOpen = state.withLock { state in
                defer { state.isOpen = false }
                return state.isOpen
            }
            if wasOpen { Glibc.close(descriptor) }
        }

        private func readHead() -> String? {
            while true {
                let head = state.withLock { state -> String? in
                    let end = Array("\r\n\r\n".utf8)
                    guard state.pending.count >= 4,
                        let start = (0...state.pending.count - 4).first(where: {
                            state.pending[$0..<$0 + 4].elementsEqual(end)
                        })
                    else { return nil }
                    let text = String(decoding: state.pending[..<start], as: UTF8.self)
                    state.pending.removeFirst(start + 4)
                    return text
                }
                if let head { return head }
                guard receive() else { return nil }
            }
        }

        private func read(count: Int) -> [UInt8]? {
            while true {
                let found = state.withLock { state -> [UInt8]? in
                    guard state.pending.count >= count else { return nil }
                    let bytes = Array(state.pending.prefix(count))
                    state.pending.removeFirst(count)
                    return bytes
                }
                if let found { return found }
                guard receive() else { return nil }
            }
        }

        private func receive() -> Bool {
            guard state.withLock({ $0.isOpen }) else { return false }
            let bytes = [UInt8](unsafeUninitializedCapacity: 256 * 1024) { buffer, count in
                count = max(0, recv(descriptor, buffer.baseAddress, buffer.count, 0))
            }
            state.withLock { $0.pending += bytes }
            return !bytes.isEmpty
        }
    }
}
