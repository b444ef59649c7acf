/// Where a server listens: `host:port`, `[v6]:port`, or `:port` for all addresses of the machine.
package struct ListenAddress: Sendable, Hashable {
    /// The host's name or address; empty for all addresses.
    package let host: String
    /// The port, from 1 to 65535.
    package let port: UInt16

    /// The address that `text` names; nil when it is none.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...]), port > 0
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        self.host = String(host)
        self.port = port
    }
}
