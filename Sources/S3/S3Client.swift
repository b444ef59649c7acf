import Bytes
import Digests
package import HTTPTransport
package import ObjectStorage
import Platform
import Synchronization

/// Signs requests for one bucket, sends them, and asks again where that helps.
package final class S3Client: Sendable {
    /// The bucket and its options.
    package let configuration: S3Configuration
    let credentials: CredentialCache
    let policy: RetryPolicy
    let clock: ClientClock
    let log: StoreLog
    let transport: any HTTPSending
    let budget: RetryBudget
    let counters: RequestCounters
    private let gate: RequestGate
    let state: Mutex<State>

    /// What the client learns from answers.
    struct State {
        var signer: Signer
        /// Where a redirect of the store's has led.
        var endpoint: Endpoint?
        /// The store's clock minus ours, in milliseconds, as requests are dated.
        var correction: Int64 = 0
        /// The same, as the last answer had it.
        var offset: Int64?
        var hasWarned = false
    }

    /// A client for a bucket.
    package init(
        _ configuration: S3Configuration,
        credentials: CredentialCache,
        policy: RetryPolicy = .interactive,
        transport: any HTTPSending = HTTPTransport.shared,
        budget: RetryBudget = .shared,
        counters: RequestCounters = .shared,
        clock: ClientClock = .system,
        gate: RequestGate? = nil,
        log: @escaping StoreLog = { _, _, _ in }
    ) {
        self.configuration = configuration
        self.credentials = credentials
        self.policy = policy
        self.transport = transport
        self.budget = budget
        self.counters = counters
        self.clock = clock
        self.log = log
        self.gate = gate ?? RequestGate(limit: Limits.concurrentRequests)
        state = Mutex(State(signer: Signer(region: configuration.firstRegion)))
    }

    /// The region that requests are signed for.
    package var region: String { state.withLock { $0.signer.region } }

    /// The store's clock minus ours in milliseconds, by the last answer that told it.
    package var clockOffset: Int64? { state.withLock { $0.offset } }

    /// Sends a request until there is an answer that is no error, or no hope.
    ///
    /// `wasRepeated` of the answer says that an earlier attempt may have taken effect.
    func perform(_ request: S3Request) async throws(S3Failure) -> Answer {
        var course = Course(started: clock.monotonic())
        while true {
            guard await gate.enter() else { throw S3Failure(.transfer(.wasCancelled)) }
            do {
                let response = try await attempt(request, &course)
                gate.leave(throttled: false)
                budget.refill(course.lastCost)
                return Answer(response: response, wasRepeated: course.mayHaveArrived)
            } catch {
                gate.leave(throttled: error.remedy == .later ? true : nil)
                course.mayHaveArrived = course.mayHaveArrived || error.mayHaveArrived
                counters.countFailure(error.name)
                try await prepareRetry(request, error, &course)
            }
        }
    }

    /// An answer that is no error.
    struct Answer: Sendable {
        let response: HTTPResponse
        /// An earlier attempt may have taken effect already.
        let wasRepeated: Bool
    }

    /// The state of a request from attempt to attempt.
    struct Course {
        let started: MonotonicTime
        var attempt = 0
        var mayHaveArrived = false
        var lastCost: Int?
        /// Remedies that are tried only once.
        var tried: Set<Remedy> = []
        var signedAt = Timestamp(milliseconds: 0)
        var signedBy: Credentials?
        var signedFor = ""
    }

    // MARK: - One attempt

    private func attempt(
        _ request: S3Request,
        _ course: inout Course
    ) async throws(S3Failure) -> HTTPResponse {
        course.attempt += 1
        let signingCredentials = try await currentCredentials()
        let started = clock.monotonic()
        let prepared = prepare(request, signingCredentials)
        course.signedAt = prepared.signedAt
        course.signedBy = signingCredentials
        course.signedFor = prepared.region
        var received = 0
        defer {
            let elapsed = (clock.monotonic() - started) / Nanoseconds.millisecond
            counters.count(
                request.kind,
                sent: request.body.byteCount,
                received: received,
                milliseconds: elapsed,
                isRetry: course.attempt > 1
            )
        }
        let response: HTTPResponse
        do {
            response = try await transport.send(prepared.http)
        } catch {
            throw S3Failure(.transfer(error))
        }
        received = response.body.count
        noteClock(response)
        guard (200..<300).contains(response.status) else {
            throw S3Failure(
                .answer(
                    ErrorAnswer(
                        response,
                        isHead: request.method == .head,
                        isForObject: request.key != nil
                    )
                )
            )
        }
        if request.mayFailInside { try checkInside(response) }
        return response
    }

    private func currentCredentials() async throws(S3Failure) -> Credentials? {
        if configuration.isAnonymous { return nil }
        do {
            return try await credentials.current()
        } catch {
            throw S3Failure(.credentials(error))
        }
    }

    /// A 200 that was sent before the outcome was known may carry an error.
    private func checkInside(_ response: HTTPResponse) throws(S3Failure) {
        let root: XMLElement
        do {
            root = try XMLElement.parse(response.body)
        } catch {
            throw S3Failure(.malformed("the answer is \(error)"))
        }
        if let error = root.name == "Error" ? root : root["Error"] {
            var answer = ErrorAnswer(error, status: 200)
            answer.requestID = answer.requestID ?? response.header("x-amz-request-id")
            var failure = S3Failure(.answer(answer))
            failure.mayHaveArrived = true
            throw failure
        }
        guard root["ETag"] != nil else {
            throw S3Failure(.malformed("the answer has status 200 but no ETag"))
        }
    }

    // MARK: - Signing

    private struct Prepared {
        let http: HTTPRequest
        let signedAt: Timestamp
        let region: String
    }

    /// The request as this attempt sends it: dated now, signed, encoded.
    private func prepare(_ request: S3Request, _ credentials: Credentials?) -> Prepared {
        let (signer, moved, correction) = state.withLock { ($0.signer, $0.endpoint, $0.correction) }
        var target = configuration.address(region: signer.region)
        if let moved { target.endpoint = moved }
        let signedAt = Timestamp(milliseconds: clock.now().milliseconds + correction)
        let date = Signer.dateText(signedAt)
        var headers = request.headers + configuration.headers
        let payloadHash: String
        if configuration.leavesBodiesUnsigned, target.endpoint.isSecure,
            request.body.byteCount > 0
        {
            payloadHash = "UNSIGNED-PAYLOAD"
        } else {
            payloadHash = request.payloadHash
        }
        headers.append((name: "host", value: target.endpoint.authority))
        headers.append((name: "x-amz-content-sha256", value: payloadHash))
        headers.append((name: "x-amz-date", value: date))
        if let token = credentials?.sessionToken {
            headers.append((name: "x-amz-security-token", value: token))
        }
        let unsigned = UnsignedRequest(
            method: request.method.rawValue,
            path: Self.path(target.path, request.key),
            query: request.query,
            headers: headers.filter { Self.isSigned($0.name) },
            payloadHash: payloadHash
        )
        if let credentials {
            let signature = signer.sign(unsigned, with: credentials, date: date)
            headers.append((name: "authorization", value: signature.authorization))
        }
        let query = unsigned.encodedQuery
        var http = HTTPRequest(
            request.method,
            url: target.endpoint.origin + unsigned.encodedPath + (query.isEmpty ? "" : "?" + query),
            responseLimit: request.responseLimit
        )
        headers.removeAll { $0.name == "host" }
        headers.append((name: "user-agent", value: Self.userAgent))
        http.headers = headers.map { HTTPHeader($0.name, $0.value) }
        http.body = request.body
        http.options = configuration.http
        if let limit = request.firstByteMilliseconds {
            http.options.firstByteMilliseconds = limit
            http.options.lowSpeedSeconds = max(http.options.lowSpeedSeconds, limit / 1000)
        }
        http.options.totalMilliseconds = request.totalMilliseconds ?? 0
        return Prepared(http: http, signedAt: signedAt, region: signer.region)
    }

    private static let userAgent = "highwater"

    private static func path(_ base: String, _ key: String?) -> String {
        guard let key else { return base.isEmpty ? "/" : base }
        return "\(base)/\(key)"
    }

    /// Headers that proxies leave alone and whose meaning has to be protected.
    private static func isSigned(_ name: String) -> Bool {
        let name = name.lowercased()
        return name.hasPrefix("x-amz-") && name != "x-amzn-trace-id"
            || ["host", "content-md5", "content-type", "range"].contains(name)
            || name.hasPrefix("if-")
    }
}

extension TransferError {
    static let wasCancelled = TransferError(.cancelled, "the task was cancelled")
}
