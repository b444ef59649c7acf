import CCurl
import Platform
import Synchronization

/// The thread that owns libcurl's multi handle. Everybody else leaves commands in its inbox.
final class CurlEngine: Sendable {
    typealias Outcome = Result<(HTTPResponseHead, [UInt8]), TransferError>

    /// A request and where its outcome goes.
    struct Job: Sendable {
        let id: UInt64
        let request: HTTPRequest
        let stream: BodyStream?
        let complete: @Sendable (Outcome) -> Void
    }

    enum Command: Sendable {
        case start(Job)
        case cancel(UInt64)
        case resume(UInt64)
    }

    fileprivate struct Inbox {
        var commands: [Command] = []
        /// The multi handle, for `curl_multi_wakeup` alone; nil until the thread runs.
        var multi: UnsafeMutableRawPointer?
        var isStarted = false
    }

    private let inbox = Mutex(Inbox())

    private static let problem: String? = hw_curl_load().map { String(cString: $0) }

    /// Loads libcurl, once.
    static func load() throws(TransferError) {
        guard let problem else { return }
        throw TransferError(
            .failed,
            "libcurl cannot be loaded: \(problem); install libcurl4 (Debian, Ubuntu) or libcurl"
        )
    }

    /// Leaves a command for the thread and wakes it; starts it if need be.
    func submit(_ command: Command) {
        do throws(TransferError) {
            try Self.load()
            try inbox.withLock { inbox throws(TransferError) in
                if !inbox.isStarted {
                    guard case .start = command else { return }
                    try start()
                    inbox.isStarted = true
                }
                inbox.commands.append(command)
                // Thread-safe by its documentation; the handle lives as long as the process.
                if let multi = inbox.multi { _ = hw_multi_wakeup(multi) }
            }
        } catch {
            guard case .start(let job) = command else { return }
            job.complete(.failure(error))
        }
    }

    private func start() throws(TransferError) {
        do {
            try DedicatedThread.start { self.run() }
        } catch {
            throw TransferError(.failed, "no thread for transfers: \(error)")
        }
    }

    private func run() {
        guard let multi = hw_multi_init() else { fatalError("no memory for libcurl") }
        _ = hw_multi_set_long(multi, CURLMOPT_MAXCONNECTS, Limits.pooledConnections)
        inbox.withLock { $0.multi = UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: multi)) }
        var loop = TransferLoop(multi: multi, engine: self)
        while true {
            loop.turn(inbox.withLock { $0.takeCommands() })
        }
    }
}

extension CurlEngine.Inbox {
    fileprivate mutating func takeCommands() -> [CurlEngine.Command] {
        defer { commands.removeAll(keepingCapacity: true) }
        return commands
    }
}

/// What the thread keeps: the transfers under way, and handles for the next ones.
private struct TransferLoop {
    let multi: UnsafeMutableRawPointer
    let engine: CurlEngine
    private var active: [UInt64: Transfer] = [:]
    private var byHandle: [UnsafeMutableRawPointer: UInt64] = [:]
    private var idle: [UnsafeMutableRawPointer] = []

    /// With nothing under way the thread sleeps until it is woken.
    private static let idleMilliseconds: Int32 = 3_600_000

    init(multi: UnsafeMutableRawPointer, engine: CurlEngine) {
        self.multi = multi
        self.engine = engine
    }

    /// Does what was asked, moves the transfers on, and waits for the next event.
    mutating func turn(_ commands: [CurlEngine.Command]) {
        for command in commands {
            switch command {
            case .start(let job): start(job)
            case .cancel(let id):
                end(id, .failure(TransferError(.cancelled, "cancelled", mayHaveArrived: true)))
            case .resume(let id): active[id]?.resume()
            }
        }
        _ = hw_multi_perform(multi)
        var code: Int32 = 0
        while let easy = hw_multi_next_done(multi, &code) {
            guard let id = byHandle[easy], let transfer = active[id] else { continue }
            end(id, transfer.outcome(code: UInt32(code)))
        }
        let timeout = watchFirstBytes()
        _ = hw_multi_poll(multi, active.isEmpty ? Self.idleMilliseconds : timeout)
    }

    private mutating func start(_ job: CurlEngine.Job) {
        guard let easy = idle.popLast() ?? hw_easy_init() else {
            job.complete(.failure(TransferError(.failed, "no memory for a transfer")))
            return
        }
        let transfer = Transfer(job: job, easy: easy, engine: engine)
        active[job.id] = transfer
        byHandle[easy] = job.id
        transfer.configure()
        let code = hw_multi_add(multi, easy)
        if code != 0 {
            end(job.id, .failure(TransferError(.failed, "curl_multi_add_handle: \(code)")))
        }
    }

    private mutating func end(_ id: UInt64, _ outcome: CurlEngine.Outcome) {
        guard let transfer = active.removeValue(forKey: id) else { return }
        let easy = transfer.easy
        byHandle[easy] = nil
        _ = hw_multi_remove(multi, easy)
        hw_easy_reset(easy)
        transfer.release()
        if idle.count < Limits.pooledHandles { idle.append(easy) } else { hw_easy_cleanup(easy) }
        transfer.job.complete(outcome)
    }

    /// Ends transfers whose answer does not begin in time; milliseconds until the next may.
    private mutating func watchFirstBytes() -> Int32 {
        guard !active.isEmpty else { return Self.idleMilliseconds }
        let now = MonotonicTime.now
        var next = 1000 * Nanoseconds.millisecond
        var late: [UInt64] = []
        for (id, transfer) in active {
            guard let deadline = transfer.firstByteDeadline else { continue }
            if deadline <= now { late.append(id) } else { next = min(next, deadline - now) }
        }
        for id in late {
            let waited = active[id]?.job.request.options.firstByteMilliseconds ?? 0
            let message = "no answer within \(waited) ms after the request was sent"
            end(id, .failure(TransferError(.timedOut, message, mayHaveArrived: true)))
        }
        return Int32(next / Nanoseconds.millisecond + 1)
    }
}
