import ArgumentParser
import Configuration
import FoundationEssentials
import Glibc
import HTTPTransport
import Platform
import Supervision

/// Where a running agent listens.
struct SocketOptions: ParsableArguments {
    @Option(
        name: .both("socket"),
        help: """
            The agent's control socket; default: the configuration file's, then \
            $HIGHWATER_SOCKET, then /var/run/highwater.sock.
            """
    )
    var socket: String?

    @OptionGroup var file: ConfigOptions

    @Flag(name: .both("json"), help: "Print JSON.")
    var json = false

    /// The socket's path.
    func path() throws -> String {
        if let socket { return try DatabaseArgument.path(socket) }
        let settings = try file.path() == nil ? Settings() : try file.load()
        return ProcessEnvironment.socket(settings) ?? settings.socketPath
            ?? Settings.defaultSocketPath
    }
}

/// Asks a running agent.
struct ControlClient {
    /// The socket's path.
    let socket: String

    init(_ options: SocketOptions) throws { socket = try options.path() }

    /// An answer as the agent gave it, and what it says.
    struct Answer<Value> {
        var text: String
        var value: Value
    }

    /// Why nobody answered. libcurl's own words name a host and a port, which there are none of.
    private func reason(_ error: TransferError) -> String {
        guard error.code == .unconnected else { return error.message }
        if FileSystem.isAccessible(socket, mode: W_OK) { return "nobody listens there" }
        let isThere = (try? FileSystem.statusOfName(socket)) != nil
        return isThere ? "this user may not use it" : "there is no such file"
    }

    /// Sends a request; `seconds` is how long the answer may take.
    ///
    /// - Throws: what the agent says is wrong; or that no agent listens.
    func send<Value: Decodable>(
        _ method: HTTPRequest.Method,
        _ path: String,
        body: Control.Body? = nil,
        seconds: Double = 10,
        as type: Value.Type
    ) async throws -> Answer<Value> {
        var request = HTTPRequest(method, url: "http://localhost\(path)", responseLimit: 1 << 28)
        request.options.socketPath = socket
        request.options.proxy = .none
        request.options.firstByteMilliseconds = 0
        request.options.lowSpeedSeconds = 0
        // The agent keeps to the time by itself and says why; this is for one that hangs.
        request.options.totalMilliseconds = Int((seconds + 5) * 1000)
        if let body {
            request.headers = [HTTPHeader("Content-Type", "application/json")]
            request.body = HTTPBody([Array(try JSONEncoder().encode(body))])
        }
        let response: HTTPResponse
        do {
            response = try await HTTPTransport.shared.send(request)
        } catch {
            throw SupervisionError(
                .missing,
                "no agent answers at the control socket '\(socket)' (\(reason(error))); start one "
                    + "with 'socket:' in its configuration or with -socket, and say here which"
            )
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard response.status == 200 else {
            if let failure = try? decoder.decode(Control.Failure.self, from: Data(response.body)) {
                throw SupervisionError(
                    SupervisionError.Code(rawValue: failure.code) ?? .invalid,
                    failure.error
                )
            }
            throw SupervisionError(.invalid, "the agent answered \(response.status)")
        }
        return Answer(
            text: String(decoding: response.body, as: UTF8.self),
            value: try decoder.decode(Value.self, from: Data(response.body))
        )
    }

    /// A path as part of a query (RFC 3986).
    static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            let scalar = Unicode.Scalar(byte)
            let isPlain =
                scalar.isASCII && scalar.properties.isAlphabetic
                || (0x30...0x39).contains(byte) || "/-._~".utf8.contains(byte)
            let digits = String(byte, radix: 16, uppercase: true)
            return isPlain ? String(scalar) : "%" + (byte < 16 ? "0" : "") + digits
        }.joined()
    }
}
