/// Where requests go: scheme, host, port, and a path that every request begins with.
package struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// Whether TLS is used.
    package var isSecure: Bool
    /// The host's name or address in lower case, IPv6 in brackets.
    package var host: String
    /// The port; nil for the scheme's own.
    package var port: Int?
    /// The path without a slash at its end; usually empty.
    package var path: String

    /// An endpoint.
    package init(isSecure: Bool = true, host: String, port: Int? = nil, path: String = "") {
        self.isSecure = isSecure
        self.host = host.lowercased()
        self.port = port == (isSecure ? 443 : 80) ? nil : port
        self.path = path
    }

    /// Host and port, as `Host` has them.
    package var authority: String { port.map { "\(host):\($0)" } ?? host }

    /// Scheme, host and port.
    package var origin: String { (isSecure ? "https://" : "http://") + authority }

    package var description: String { origin + path }

    /// Whether the host is this machine.
    package var isLoopback: Bool {
        host == "localhost" || host.hasSuffix(".localhost") || host == "[::1]"
            || (isAddress && host.hasPrefix("127."))
    }

    /// Whether the host is an address and not a name.
    package var isAddress: Bool {
        host.hasPrefix("[") || host.utf8.allSatisfy { (48...57).contains($0) || $0 == 46 }
    }

    /// Amazon's endpoint for a region.
    package static func aws(region: String) -> Endpoint {
        let domain = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        return Endpoint(host: "s3.\(region).\(domain)")
    }

    /// The endpoint that `text` names. Without a scheme it is https, on this machine http.
    package init?(_ text: String) {
        var rest = Substring(text)
        var isSecure: Bool?
        for (prefix, secure) in [("https://", true), ("http://", false)]
        where rest.lowercased().hasPrefix(prefix) {
            isSecure = secure
            rest = rest.dropFirst(prefix.count)
        }
        guard !rest.contains("://"), !rest.contains(where: { "?#@ ".contains($0) }) else {
            return nil
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let path = rest[slash...].split(separator: "/").map { "/" + $0 }.joined()
        var host = rest[..<slash]
        var port: Int?
        let bracket = host.lastIndex(of: "]") ?? host.startIndex
        if let colon = host[bracket...].lastIndex(of: ":") {
            guard let number = Int(host[host.index(after: colon)...]), (1...65535).contains(number)
            else { return nil }
            port = number
            host = host[..<colon]
        }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return nil }
        self.init(isSecure: true, host: String(host), port: nil, path: path)
        self.isSecure = isSecure ?? !isLoopback
        self.port = port == (self.isSecure ? 443 : 80) ? nil : port
    }
}
