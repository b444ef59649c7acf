import CCurl

/// A request that got no answer, or not all of it.
package struct TransferError: Error, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    package enum Code: String, Sendable {
        /// The caller's task was cancelled.
        case cancelled
        /// The URL is none, or not http or https.
        case invalidURL
        /// The host's name has no address.
        case unresolved
        /// Nobody answered at the address, or not in time.
        case unconnected
        /// The TLS handshake failed, other than by the certificate.
        case handshake
        /// The certificate is not one to trust, or a certificate file cannot be read.
        case untrusted
        /// The answer did not come in time.
        case timedOut
        /// The connection broke before the answer was whole.
        case interrupted
        /// The answer is longer than allowed.
        case tooLarge
        /// libcurl is missing or refused.
        case failed
    }

    /// What went wrong.
    package let code: Code
    /// What libcurl says.
    package let message: String
    /// Whether the server may have acted on the request all the same.
    package let mayHaveArrived: Bool
    /// What came of a successful answer before it broke off.
    package var partial: HTTPResponse?

    /// A failure.
    package init(_ code: Code, _ message: String, mayHaveArrived: Bool = false) {
        self.code = code
        self.message = message
        self.mayHaveArrived = mayHaveArrived
    }

    /// Whether the same request may succeed later without anybody's help.
    package var isRetryable: Bool {
        switch code {
        case .unresolved, .unconnected, .handshake, .timedOut, .interrupted: true
        case .cancelled, .invalidURL, .untrusted, .tooLarge, .failed: false
        }
    }

    package var description: String { message }

    /// libcurl's code `number` (curl/curl.h, `CURLcode`), in our words.
    init(curl number: UInt32, message: String, wasSending: Bool) {
        let table: [UInt32: (Code, Bool)] = [
            CURLE_UNSUPPORTED_PROTOCOL.rawValue: (.invalidURL, false),
            CURLE_URL_MALFORMAT.rawValue: (.invalidURL, false),
            CURLE_COULDNT_RESOLVE_PROXY.rawValue: (.unresolved, false),
            CURLE_COULDNT_RESOLVE_HOST.rawValue: (.unresolved, false),
            CURLE_COULDNT_CONNECT.rawValue: (.unconnected, false),
            CURLE_OPERATION_TIMEDOUT.rawValue: (.timedOut, wasSending),
            CURLE_SSL_CONNECT_ERROR.rawValue: (.handshake, false),
            CURLE_PEER_FAILED_VERIFICATION.rawValue: (.untrusted, false),
            CURLE_SSL_CACERT_BADFILE.rawValue: (.untrusted, false),
            CURLE_SSL_CERTPROBLEM.rawValue: (.untrusted, false),
            CURLE_SSL_ISSUER_ERROR.rawValue: (.untrusted, false),
            CURLE_PARTIAL_FILE.rawValue: (.interrupted, true),
            CURLE_GOT_NOTHING.rawValue: (.interrupted, true),
            CURLE_SEND_ERROR.rawValue: (.interrupted, true),
            CURLE_RECV_ERROR.rawValue: (.interrupted, true),
            CURLE_SEND_FAIL_REWIND.rawValue: (.interrupted, true),
            CURLE_WEIRD_SERVER_REPLY.rawValue: (.interrupted, true),
            CURLE_HTTP2.rawValue: (.interrupted, true),
        ]
        let (code, mayHaveArrived) = table[number] ?? (.failed, wasSending)
        self.init(code, message, mayHaveArrived: mayHaveArrived)
    }
}
