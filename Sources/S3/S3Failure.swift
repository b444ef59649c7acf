import Bytes
import HTTPTransport
import Platform

/// An answer of a store that says no.
struct ErrorAnswer: Sendable {
    var status: Int
    /// S3's code, such as `NoSuchKey`; for answers without a body what the status means.
    var code: String
    var message = ""
    var requestID: String?
    var hostID: String?
    /// The bucket's region, if the answer tells it.
    var region: String?
    /// The endpoint that the answer points to.
    var location: String?
    /// How long the store wants to be left alone, in milliseconds.
    var retryAfterMilliseconds: Int64?
    /// The store's clock.
    var date: Timestamp?
    /// Whether the answer is S3's and not a proxy's or a web server's.
    var isFromS3 = true

    /// Reads an answer to a request for an object or, without a key, for the bucket.
    init(_ response: HTTPResponse, isHead: Bool, isForObject: Bool) {
        status = response.status
        requestID = response.header("x-amz-request-id") ?? response.header("x-amzn-requestid")
        hostID = response.header("x-amz-id-2")
        region = response.header("x-amz-bucket-region")
        location = response.header("location")
        date = response.header("date").flatMap { HTTPDate.parse($0) }
        retryAfterMilliseconds = Self.retryAfter(response, now: date)
        code = Self.codeOfStatus(status, isForObject: isForObject)
        let contentType = response.header("content-type")?.lowercased() ?? ""
        if response.body.isEmpty || isHead {
            // Without a body to be recognised by: absence is believed only of an answer to HEAD.
            let isMarked = requestID != nil || region != nil
            isFromS3 = isMarked || (isHead && !contentType.hasPrefix("text/html"))
            if status == 404, !isHead { code = "HTTP404" }
            return
        }
        guard let root = try? XMLElement.parse(response.body),
            let error = root.name == "Error" ? root : root["Error"]
        else {
            isFromS3 = false
            message = Self.excerpt(response.body)
            return
        }
        take(error)
    }

    /// Reads an `<Error>` that came with status 200.
    init(_ error: XMLElement, status: Int) {
        self.status = status
        code = "InternalError"
        take(error)
    }

    private mutating func take(_ error: XMLElement) {
        if let text = error.text("Code"), !text.isEmpty { code = String(text.prefix(80)) }
        message = String((error.text("Message") ?? "").prefix(400))
        requestID = requestID ?? error.text("RequestId").map { String($0.prefix(200)) }
        hostID = hostID ?? error.text("HostId").map { String($0.prefix(200)) }
        region = region ?? error.text("Region")
        location = location ?? error.text("Endpoint")
        date = error.text("ServerTime").flatMap { Timestamp(rfc3339: $0) } ?? date
    }

    /// What a status means when nothing else is said.
    private static func codeOfStatus(_ status: Int, isForObject: Bool) -> String {
        switch status {
        case 301: "PermanentRedirect"
        case 307: "TemporaryRedirect"
        case 304: "NotModified"
        case 400: "BadRequest"
        case 401, 403: "AccessDenied"
        case 404: isForObject ? "NoSuchKey" : "NoSuchBucket"
        case 405: "MethodNotAllowed"
        case 409: "Conflict"
        case 412: "PreconditionFailed"
        case 416: "InvalidRange"
        case 429: "TooManyRequests"
        case 500: "InternalError"
        case 501: "NotImplemented"
        case 503: "ServiceUnavailable"
        default: "HTTP\(status)"
        }
    }

    private static func retryAfter(_ response: HTTPResponse, now: Timestamp?) -> Int64? {
        if let text = response.header("x-amz-retry-after"), let value = Int64(text), value >= 0 {
            return min(value, 60_000)
        }
        guard let text = response.header("retry-after") else { return nil }
        if let seconds = Int64(text), seconds >= 0 { return min(seconds, 60) * 1000 }
        guard let date = HTTPDate.parse(text) else { return nil }
        let wait = date.milliseconds - (now ?? Timestamp.now).milliseconds
        return min(max(wait, 0), 60_000)
    }

    /// The beginning of a body that is not S3's, in one line.
    private static func excerpt(_ body: [UInt8]) -> String {
        let text = String(decoding: body.prefix(300), as: UTF8.self)
        let words = text.split { $0.isWhitespace || $0.unicodeScalars.allSatisfy { $0.value < 32 } }
        return String(words.joined(separator: " ").prefix(120))
    }
}

/// Why a request to a store failed.
struct S3Failure: Error, Sendable {
    enum Cause: Sendable {
        /// The store said no.
        case answer(ErrorAnswer)
        /// There was no answer.
        case transfer(TransferError)
        /// There is nobody to sign as.
        case credentials(CredentialError)
        /// The answer is not one that we understand.
        case malformed(String)
    }

    var cause: Cause
    /// Whether an attempt may have taken effect although it failed.
    var mayHaveArrived = false
    /// Attempts that were made.
    var attempts = 1

    init(_ cause: Cause) {
        self.cause = cause
        switch cause {
        case .answer(let answer): mayHaveArrived = answer.status >= 500 || answer.status == 408
        case .transfer(let error): mayHaveArrived = error.mayHaveArrived
        case .credentials: break
        case .malformed: mayHaveArrived = true
        }
    }

    /// S3's code, if the store answered in S3's words.
    var code: String? {
        if case .answer(let answer) = cause, answer.isFromS3 { return answer.code }
        return nil
    }

    /// The status, if there was an answer.
    var status: Int? {
        if case .answer(let answer) = cause { return answer.status }
        return nil
    }

    /// A short name for counters.
    var name: String {
        switch cause {
        case .answer(let answer): answer.isFromS3 ? answer.code : "HTTP\(answer.status)"
        case .transfer(let error): error.code.rawValue
        case .credentials: "credentials"
        case .malformed: "malformed"
        }
    }
}

/// Nobody to sign as.
package struct CredentialError: Error, Sendable, CustomStringConvertible {
    /// What was tried, and what to do.
    package let description: String
    /// Whether trying again may help: a service did not answer.
    package let isRetryable: Bool

    /// A failure.
    package init(_ description: String, isRetryable: Bool = false) {
        self.description = description
        self.isRetryable = isRetryable
    }
}
