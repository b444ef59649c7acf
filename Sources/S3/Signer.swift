package import Bytes
import Digests
import Synchronization

/// A request before it is signed. Path and query are plain text; signing encodes them once, and
/// what was signed is what has to be sent.
package struct UnsignedRequest: Sendable {
    /// GET, PUT, …
    package var method: String
    /// The path, from its first slash, not encoded.
    package var path: String
    /// Names and values, not encoded, in any order.
    package var query: [(name: String, value: String)]
    /// Headers that are signed; `host` must be among them.
    package var headers: [(name: String, value: String)]
    /// The body's SHA-256 in hexadecimal, or `UNSIGNED-PAYLOAD`.
    package var payloadHash: String

    /// A request.
    package init(
        method: String,
        path: String,
        query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)],
        payloadHash: String
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.payloadHash = payloadHash
    }

    /// The path as it is signed and sent.
    package var encodedPath: String { URIEncoding.encode(path, keepingSlash: true) }

    /// The query as it is signed and sent: sorted by encoded name, then value; an empty value
    /// keeps its `=`.
    package var encodedQuery: String {
        let pairs = query.map { pair in
            (URIEncoding.encode(pair.name), URIEncoding.encode(pair.value))
        }
        return pairs.sorted { $0 < $1 }.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }
}

/// AWS Signature Version 4, in a header (docs.aws.amazon.com, "Create a signed AWS API request").
///
/// S3's rules: the path is encoded once and never normalised; `x-amz-content-sha256` is signed.
/// The derived key is kept until the date, region, service or secret changes.
package final class Signer: Sendable {
    /// The region of the scope.
    package let region: String
    /// The service of the scope: `s3`, or `sts`.
    package let service: String

    private struct Key {
        var date = ""
        var secret = ""
        var bytes: [UInt8] = []
    }

    private let key = Mutex(Key())

    /// A signer for one region and service.
    package init(region: String, service: String = "s3") {
        self.region = region
        self.service = service
    }

    /// What a signature consists of, each step for itself.
    package struct Signature: Sendable {
        /// The canonical request.
        package let canonicalRequest: String
        /// The string to sign.
        package let stringToSign: String
        /// The value of `Authorization`.
        package let authorization: String
    }

    /// `20130524T000000Z`: the value of `x-amz-date`.
    package static func dateText(_ time: Timestamp) -> String {
        let c = time.civil
        func pad(_ value: Int, _ digits: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
        }
        return pad(c.year, 4) + pad(c.month, 2) + pad(c.day, 2) + "T" + pad(c.hour, 2)
            + pad(c.minute, 2) + pad(c.second, 2) + "Z"
    }

    /// Signs a request whose headers are complete, `x-amz-date` and the token included.
    package func sign(
        _ request: UnsignedRequest,
        with credentials: Credentials,
        date: String
    ) -> Signature {
        let headers = Self.canonicalHeaders(request.headers)
        let names = headers.map(\.name).joined(separator: ";")
        let canonicalRequest =
            [
                request.method,
                request.encodedPath,
                request.encodedQuery,
                headers.map { "\($0.name):\($0.value)\n" }.joined(),
                names,
                request.payloadHash,
            ].joined(separator: "\n")
        let day = String(date.prefix(8))
        let scope = "\(day)/\(region)/\(service)/aws4_request"
        let hash = Hex.string(Digest.sha256(Array(canonicalRequest.utf8)))
        let stringToSign = "AWS4-HMAC-SHA256\n\(date)\n\(scope)\n\(hash)"
        let signature = HMACSHA256.code(
            key: derivedKey(credentials.secretAccessKey, day: day),
            message: stringToSign
        )
        return Signature(
            canonicalRequest: canonicalRequest,
            stringToSign: stringToSign,
            authorization: "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), "
                + "SignedHeaders=\(names), Signature=\(Hex.string(signature))"
        )
    }

    /// Lower-case names, sorted; values trimmed, runs of blanks made one, and several values of
    /// one name joined by commas in their order.
    static func canonicalHeaders(
        _ headers: [(name: String, value: String)]
    ) -> [(name: String, value: String)] {
        let plain = headers.enumerated().map { index, header in
            (name: header.name.lowercased(), value: collapsed(header.value), index: index)
        }
        let sorted = plain.sorted { a, b in
            a.name == b.name
                ? a.index < b.index : a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
        }
        var result: [(name: String, value: String)] = []
        for header in sorted {
            if let last = result.last, last.name == header.name {
                result[result.count - 1].value += "," + header.value
            } else {
                result.append((name: header.name, value: header.value))
            }
        }
        return result
    }

    /// The text without blanks at its ends, and with one blank for each run of them.
    private static func collapsed(_ text: String) -> String {
        func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var isPending = false
        for byte in text.utf8 {
            if isBlank(byte) {
                isPending = !bytes.isEmpty
            } else {
                if isPending { bytes.append(32) }
                isPending = false
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func derivedKey(_ secret: String, day: String) -> [UInt8] {
        key.withLock { key in
            if key.date != day || key.secret != secret || key.bytes.isEmpty {
                var bytes = HMACSHA256.code(key: Array("AWS4\(secret)".utf8), message: day)
                for text in [region, service, "aws4_request"] {
                    bytes = HMACSHA256.code(key: bytes, message: text)
                }
                key = Key(date: day, secret: secret, bytes: bytes)
            }
            return key.bytes
        }
    }
}
