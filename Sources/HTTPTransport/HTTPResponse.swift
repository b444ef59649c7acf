/// An answer.
package struct HTTPResponse: Sendable {
    /// Status and headers.
    package var head: HTTPResponseHead
    /// The body. Of an error only the first `Limits.errorBodyBytes` are kept.
    package var body: [UInt8]

    /// An answer.
    package init(head: HTTPResponseHead, body: [UInt8]) {
        self.head = head
        self.body = body
    }

    /// The status, such as 200.
    package var status: Int { head.status }

    /// The value of the first header with this name, in any case.
    package func header(_ name: String) -> String? { head.header(name) }
}

/// Status and headers of an answer.
package struct HTTPResponseHead: Sendable {
    /// The status, such as 200.
    package var status: Int
    /// The headers in the order in which they came.
    package var headers: [HTTPHeader]

    /// A head.
    package init(status: Int, headers: [HTTPHeader] = []) {
        self.status = status
        self.headers = headers
    }

    /// The value of the first header with this name, in any case.
    package func header(_ name: String) -> String? {
        let name = name.lowercased()
        return headers.first { $0.name.lowercased() == name }?.value
    }

    /// Takes in a header line, without its line end. A status line starts anew: what came before
    /// it was `100 Continue` or a proxy's.
    mutating func take(line: Substring) {
        if line.utf8.starts(with: "HTTP/".utf8) {
            let parts = line.split(separator: " ")
            status = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
            headers = []
            return
        }
        guard let colon = line.firstIndex(of: ":") else { return }
        let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        let end = value.lastIndex { $0 != " " && $0 != "\t" }
        let trimmed = end.map { value[...$0] } ?? ""
        headers.append(HTTPHeader(String(line[..<colon]), String(trimmed)))
    }
}
