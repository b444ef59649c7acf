import Bytes
import HTTPTransport
import ObjectStorage
import Platform
import S3
import Synchronization

/// Answers requests as the test says, and remembers them. Time passes only when somebody sleeps.
final class ScriptedTransport: HTTPSending {
    typealias Step = @Sendable (HTTPRequest) throws(TransferError) -> HTTPResponse

    private struct State {
        var steps: [Step] = []
        var requests: [HTTPRequest] = []
        var milliseconds: Int64 = 1_800_000_000_000
        var pauses: [Int64] = []
        var lines: [String] = []
        var waitsForAll = 0
    }

    private let state = Mutex(State())
    private let fallback: Step?

    /// Answers with `steps`, one after the other, then with `fallback`.
    init(_ steps: [Step] = [], then fallback: Step? = nil) {
        self.fallback = fallback
        state.withLock { $0.steps = steps }
    }

    var requests: [HTTPRequest] { state.withLock { $0.requests } }
    var pauses: [Int64] { state.withLock { $0.pauses } }
    var lines: [String] { state.withLock { $0.lines } }
    var now: Timestamp {
        get { Timestamp(milliseconds: state.withLock { $0.milliseconds }) }
        set { state.withLock { $0.milliseconds = newValue.milliseconds } }
    }

    /// The first so many requests are answered only when all of them are under way.
    var waitsForAll: Int {
        get { state.withLock { $0.waitsForAll } }
        set { state.withLock { $0.waitsForAll = newValue } }
    }

    func add(_ step: @escaping Step) { state.withLock { $0.steps.append(step) } }

    func send(_ request: HTTPRequest) async throws(TransferError) -> HTTPResponse {
        let step = state.withLock { state -> Step? in
            state.requests.append(request)
            return state.steps.isEmpty ? nil : state.steps.removeFirst()
        }
        while requests.count < waitsForAll { await Task.yield() }
        guard let step = step ?? fallback else {
            throw TransferError(.failed, "the script has no answer to \(request.url)")
        }
        return try step(request)
    }

    var clock: ClientClock {
        ClientClock(
            now: { [self] in now },
            monotonic: { [self] in MonotonicTime(nanoseconds: now.milliseconds * 1_000_000) },
            sleep: { [self] pause in
                try Task.checkCancellation()
                state.withLock { state in
                    state.milliseconds += pause
                    state.pauses.append(pause)
                }
            },
            random: { 0.5 }
        )
    }

    var log: StoreLog {
        { [self] level, message, values in
            let pairs = values.map { " \($0.0)=\($0.1)" }.joined()
            state.withLock { $0.lines.append("\(level) \(message)\(pairs)") }
        }
    }

    static func answer(
        _ status: Int,
        _ headers: [(String, String)] = [],
        _ body: String = ""
    ) -> Step {
        { _ in
            HTTPResponse(
                head: HTTPResponseHead(
                    status: status,
                    headers: headers.map { HTTPHeader($0.0, $0.1) }
                ),
                body: Array(body.utf8)
            )
        }
    }

    static func error(_ status: Int, _ code: String, _ more: String = "") -> Step {
        answer(
            status,
            [("x-amz-request-id", "REQ1"), ("x-amz-id-2", "HOST1")],
            "<?xml version=\"1.0\"?><Error><Code>\(code)</Code><Message>as the test wants it"
                + "</Message>\(more)</Error>"
        )
    }

    static func fails(_ code: TransferError.Code, mayHaveArrived: Bool = false) -> Step {
        { _ throws(TransferError) in
            throw TransferError(code, "as the test wants it", mayHaveArrived: mayHaveArrived)
        }
    }
}

extension HTTPRequest {
    func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name }?.value
    }
}

/// A store over a script.
struct Subject {
    let transport: ScriptedTransport
    let store: S3Store
    let counters = RequestCounters()
    let budget = RetryBudget()

    init(
        _ transport: ScriptedTransport,
        url: String = "s3://bucket/pre/fix?endpoint=http://127.0.0.1:9000",
        policy: RetryPolicy = .interactive,
        credentials: CredentialCache? = nil
    ) throws {
        guard case .bucket(let place) = try StoreURL.parse(url) else { fatalError(url) }
        let fixed = StaticCredentials(
            Credentials(accessKeyID: "AKIDEXAMPLE", secretAccessKey: "SECRET", source: "test")
        )
        self.transport = transport
        store = S3Store(
            client: S3Client(
                try S3Configuration(place, environment: [:]),
                credentials: credentials ?? CredentialCache([fixed], clock: transport.clock),
                policy: policy,
                transport: transport,
                budget: budget,
                counters: counters,
                clock: transport.clock,
                log: transport.log
            )
        )
    }
}
