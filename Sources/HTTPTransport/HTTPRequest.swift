/// A request as it goes over the wire.
package struct HTTPRequest: Sendable {
    /// What HTTP calls the method.
    package enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
        case put = "PUT"
        case post = "POST"
        case delete = "DELETE"
    }

    /// The method.
    package var method: Method
    /// The URL, sent exactly as it is here: nothing is encoded or tidied.
    package var url: String
    /// Headers beside `Host`, `Content-Length` and `User-Agent`, in this order.
    package var headers: [HTTPHeader] = []
    /// The body.
    package var body = HTTPBody()
    /// How to connect and how long to wait.
    package var options = HTTPOptions()
    /// The most bytes that the body of a successful answer may have. A longer one is an error.
    package var responseLimit: Int

    /// A request without headers or body.
    package init(_ method: Method, url: String, responseLimit: Int) {
        self.method = method
        self.url = url
        self.responseLimit = responseLimit
    }
}

/// One header line.
package struct HTTPHeader: Hashable, Sendable {
    /// The name, in any case.
    package var name: String
    /// The value, without line ends.
    package var value: String

    /// A header.
    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// What a request carries: pieces in memory, so that it can be sent again from its start.
package struct HTTPBody: Sendable {
    /// The pieces, one after the other.
    package let pieces: [[UInt8]]
    /// Bytes in all.
    package let byteCount: Int

    /// A body of pieces.
    package init(_ pieces: [[UInt8]] = []) {
        self.pieces = pieces.filter { !$0.isEmpty }
        byteCount = pieces.reduce(0) { $0 + $1.count }
    }
}

/// How to connect, and how long to wait.
package struct HTTPOptions: Sendable, Hashable {
    /// Whose proxy is used.
    package enum Proxy: Sendable, Hashable {
        /// `HTTPS_PROXY`, `http_proxy` and `NO_PROXY`, as curl reads them.
        case environment
        /// None: for addresses on this machine's link.
        case none
        /// This one.
        case url(String)
    }

    /// An idle connection that is older, in seconds, is not used again.
    package var idleConnectionSeconds = Limits.idleConnectionSeconds
    /// Milliseconds to connect, TLS included.
    package var connectMilliseconds = 10_000
    /// Fewer bytes per second for `lowSpeedSeconds` end the transfer; 0 seconds: no such limit.
    package var lowSpeedBytes = 1024
    /// See `lowSpeedBytes`.
    package var lowSpeedSeconds = 30
    /// Milliseconds from the end of the request to the first byte of the answer; 0: no limit.
    package var firstByteMilliseconds = 30_000
    /// Milliseconds for everything; 0: no limit. Not for bodies of unknown length.
    package var totalMilliseconds = 0
    /// Whether the server's certificate is checked.
    package var verifiesTLS = true
    /// A file of certificates to trust instead of the system's.
    package var authorityFile: String?
    /// A folder of certificates to trust, hashed as OpenSSL wants it.
    package var authorityFolder: String?
    /// A client certificate in PEM, and its key if that is in another file.
    package var clientCertificate: String?
    package var clientKey: String?
    /// Whose proxy is used.
    package var proxy = Proxy.environment
    /// A unix socket to connect to instead of the URL's host.
    package var socketPath: String?
    /// Whether large bodies ask first (`Expect: 100-continue`).
    package var asksBeforeLargeBodies = true

    /// The usual ones.
    package init() {}
}
