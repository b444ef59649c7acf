import Bytes
import Digests
import HTTPTransport

/// A request in S3's terms, before an attempt dates and signs it.
struct S3Request: Sendable {
    var kind: RequestCounters.Kind
    var method: HTTPRequest.Method
    /// The object's whole key; nil for the bucket.
    var key: String?
    var query: [(name: String, value: String)] = []
    var headers: [(name: String, value: String)] = []
    private(set) var body = HTTPBody()
    /// The body's SHA-256 in hexadecimal, computed once for all attempts.
    private(set) var payloadHash = S3Request.emptyHash
    /// The most bytes that a successful answer may have.
    var responseLimit = Limits.xmlBytes
    /// Whether a 200 may carry an error (Complete, which answers before it is done).
    var mayFailInside = false
    /// Whether the caller goes on from the part of an answer that came before it broke off.
    var resumes = false
    /// Milliseconds until the answer has to begin; nil: as configured.
    var firstByteMilliseconds: Int?
    /// Milliseconds for everything; nil: no limit.
    var totalMilliseconds: Int?

    /// The SHA-256 of no bytes.
    static let emptyHash = Hex.string(Digest.sha256([UInt8]()))

    init(_ kind: RequestCounters.Kind, _ method: HTTPRequest.Method, key: String? = nil) {
        self.kind = kind
        self.method = method
        self.key = key
    }

    /// Gives the request a body and, when `sendsMD5`, its MD5; on machines whose OpenSSL may not
    /// compute that, S3's newer checksum header.
    mutating func set(body pieces: [[UInt8]], sendsMD5: Bool) {
        body = HTTPBody(pieces)
        let hash = Digest.sha256(pieces)
        payloadHash = Hex.string(hash)
        guard sendsMD5 else { return }
        if let digest = try? Digest.digest(.md5, pieces) {
            headers.append((name: "content-md5", value: Base64.encode(digest)))
        } else {
            headers.append((name: "x-amz-checksum-sha256", value: Base64.encode(hash)))
        }
    }
}
