import Synchronization

/// What stores bill and graph: requests by kind, bytes, and failures by class.
package final class RequestCounters: Sendable {
    /// The process's counters.
    package static let shared = RequestCounters()

    /// Kinds of requests.
    package enum Kind: String, Sendable, CaseIterable {
        case put = "PUT"
        case get = "GET"
        case head = "HEAD"
        case list = "LIST"
        case delete = "DELETE"
        case deleteBatch = "DELETE_BATCH"
        case createUpload = "CREATE_UPLOAD"
        case uploadPart = "UPLOAD_PART"
        case completeUpload = "COMPLETE_UPLOAD"
        case abortUpload = "ABORT_UPLOAD"
        case listUploads = "LIST_UPLOADS"
        case headBucket = "HEAD_BUCKET"
    }

    /// The numbers since the process began.
    package struct Values: Sendable, Hashable {
        /// Requests that were sent, each attempt for itself.
        package var requests: [Kind: UInt64] = [:]
        /// Bytes of bodies sent and received.
        package var bytesSent: UInt64 = 0
        package var bytesReceived: UInt64 = 0
        /// Failed attempts, by S3's code or the transport's kind.
        package var failures: [String: UInt64] = [:]
        /// Attempts that repeated a failed one.
        package var retries: UInt64 = 0
        /// Milliseconds that attempts took, all together.
        package var milliseconds: UInt64 = 0

        /// Requests of all kinds.
        package var requestCount: UInt64 { requests.values.reduce(0, +) }
    }

    private let state = Mutex(Values())

    /// Counters at zero.
    package init() {}

    /// The numbers now.
    package var values: Values { state.withLock { $0 } }

    func count(_ kind: Kind, sent: Int, received: Int, milliseconds: Int64, isRetry: Bool) {
        state.withLock { values in
            values.requests[kind, default: 0] += 1
            values.bytesSent += UInt64(sent)
            values.bytesReceived += UInt64(received)
            values.milliseconds += UInt64(max(0, milliseconds))
            if isRetry { values.retries += 1 }
        }
    }

    /// Names of failures are few: S3's codes. Made-up ones of a hostile server share a name.
    func countFailure(_ name: String) {
        state.withLock { values in
            let isNew = values.failures[name] == nil
            let key = isNew && values.failures.count >= 100 ? "other" : name
            values.failures[key, default: 0] += 1
        }
    }
}
