import Bytes
import Platform
import Synchronization

/// The two ways to the store of one database: a long snapshot holds up no commit.
struct UploadLanes: Sendable {
    /// Segments and what belongs to them, in the order of the history.
    let log: UploadQueue
    /// Snapshots.
    let snapshots: UploadQueue

    /// Lanes whose follower `signal` wakes up. What waits in memory counts against `memory`.
    init(signal: FollowerSignal, memory: MemoryBudget) {
        log = UploadQueue(signal: signal, memory: memory)
        snapshots = UploadQueue(signal: signal, memory: memory)
    }

    /// No more objects will come.
    func close() {
        log.close()
        snapshots.close()
    }
}

/// What goes to the store, in order, and what of it has arrived. One thread pushes, one task takes.
final class UploadQueue: Sendable {
    /// One object on its way.
    struct Item: Sendable {
        /// What its bytes are.
        enum Body: Sendable {
            case bytes(SegmentBytes)
            case stream(ChunkChannel)
        }

        let id: Int
        /// The object's path below the store's root.
        let path: String
        fileprivate(set) var body: Body
        /// Whether a newer claim on the generation is looked for before it is sent.
        var asksForClaims = false
    }

    private struct State {
        var pending: [Item] = []
        var pendingBytes = 0
        var durable = -1
        var failed: Int?
        var refusal: UploadRefusal?
        var wantsSnapshot: String?
        var isClosed = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())
    private let signal: FollowerSignal
    private let memory: MemoryBudget

    /// `signal` is raised when something has arrived or failed.
    init(signal: FollowerSignal, memory: MemoryBudget) {
        self.signal = signal
        self.memory = memory
    }

    deinit { memory.add(-state.withLock { $0.pendingBytes }) }

    /// Bytes in memory that wait.
    var pendingBytes: Int { state.withLock { $0.pendingBytes } }

    /// Whether nothing should be added: so much waits here, or with all others together.
    func isFull(_ limit: Int) -> Bool {
        let pending = pendingBytes
        return pending >= limit || pending > 0 && memory.isExceeded
    }

    /// The highest number of the gap-free run of objects that have arrived.
    var durable: Int { state.withLock { $0.durable } }

    /// The stream that broke and must be begun anew, once.
    func takeFailedStream() -> Int? {
        state.withLock { state in
            defer { state.failed = nil }
            return state.failed
        }
    }

    /// Adds an object at the end; at the front when it replaces a stream that broke.
    func push(_ item: Item, replacingFailed: Bool = false) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if replacingFailed {
                state.pending.insert(item, at: 0)
            } else {
                state.pending.append(item)
            }
            count(item.memoryByteCount, &state)
            return state.waiter.take()
        }
        waiter?.resume()
    }

    private func count(_ bytes: Int, _ state: inout State) {
        state.pendingBytes += bytes
        memory.add(bytes)
    }

    /// Lets an object that still waits be read from a file from now on, which frees its memory.
    /// The first one may be on its way already and stays as it is.
    func moveToFile(_ id: Int, _ file: SpoolFile) {
        state.withLock { state in
            guard let index = state.pending.firstIndex(where: { $0.id == id }), index > 0 else {
                return
            }
            count(-state.pending[index].memoryByteCount, &state)
            state.pending[index].body = .bytes(.file(file))
        }
    }

    /// Asks the follower for a new snapshot.
    func requestSnapshot(reason: String) {
        state.withLock { $0.wantsSnapshot = reason }
        signal.raise()
    }

    /// Why a new snapshot is wanted; nil when none is.
    var wantedSnapshot: String? { state.withLock { $0.wantsSnapshot } }

    /// The snapshot that was wanted has begun.
    func snapshotBegan() { state.withLock { $0.wantsSnapshot = nil } }

    /// Nothing of the generation is sent any more.
    func refuse(_ refusal: UploadRefusal) {
        state.withLock { $0.refusal = refusal }
        signal.raise()
    }

    /// Why nothing is sent any more.
    var refusal: UploadRefusal? { state.withLock { $0.refusal } }

    /// No more objects will come.
    func close() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.isClosed = true
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// The next object; it stays first until it has arrived. Nil when the queue is closed.
    func next() async -> Item? {
        while true {
            let (item, closed) = state.withLock { ($0.pending.first, $0.isClosed) }
            if let item { return item }
            if closed { return nil }
            await withCheckedContinuation { continuation in
                let resumeNow = state.withLock { state -> Bool in
                    if !state.pending.isEmpty || state.isClosed { return true }
                    state.waiter = continuation
                    return false
                }
                if resumeNow { continuation.resume() }
            }
        }
    }

    /// The object that is to be sent next, if there is one.
    var first: Item? { state.withLock { $0.pending.first } }

    /// The first object has arrived.
    func arrived(_ item: Item) {
        state.withLock { state in
            state.pending.removeFirst()
            count(-item.memoryByteCount, &state)
            state.durable = item.id
        }
        signal.raise()
    }

    /// The first object was a stream and broke; nothing is taken until it was begun anew.
    func streamFailed(_ item: Item) async {
        state.withLock { state in
            state.pending.removeFirst()
            state.failed = item.id
        }
        signal.raise()
        while state.withLock({ $0.pending.first?.id != item.id && !$0.isClosed }) {
            try? await Pause.sleep(nanoseconds: 20 * Nanoseconds.millisecond)
            if Task.isCancelled { return }
        }
    }
}

extension UploadQueue.Item {
    var byteCount: UInt64 {
        if case .bytes(let bytes) = body { return UInt64(bytes.byteCount) }
        return 0
    }

    /// Bytes that it holds in memory.
    var memoryByteCount: Int {
        if case .bytes(let bytes) = body { return bytes.memoryByteCount }
        return 0
    }
}

/// A bounded pipe of byte chunks from the follower's thread to the upload task.
final class ChunkChannel: Sendable {
    private struct State {
        var chunks: [[UInt8]] = []
        var bytes = 0
        var isFinished = false
        var isCancelled = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())
    private let signal: FollowerSignal
    private static let bytesMax = 4 * 1024 * 1024

    init(signal: FollowerSignal) { self.signal = signal }

    /// True while the producer should go on.
    var hasRoom: Bool { state.withLock { $0.bytes < Self.bytesMax } }

    /// Adds bytes; `finished` after the last ones.
    func push(_ chunk: [UInt8], finished: Bool) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if !chunk.isEmpty { state.chunks.append(chunk) }
            state.bytes += chunk.count
            state.isFinished = state.isFinished || finished
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// Throws away what is there, without waiting; true when the end has been reached.
    func drain() -> Bool {
        state.withLock { state in
            state.chunks = []
            state.bytes = 0
            return state.isFinished
        }
    }

    /// The producer has gone; the consumer gets an error.
    func cancel() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.isCancelled = true
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// The next chunk; nil at the end.
    func next() async throws -> [UInt8]? {
        while true {
            let (chunk, ended, cancelled) = state.withLock { state -> ([UInt8]?, Bool, Bool) in
                if state.isCancelled { return (nil, false, true) }
                guard !state.chunks.isEmpty else { return (nil, state.isFinished, false) }
                let chunk = state.chunks.removeFirst()
                state.bytes -= chunk.count
                return (chunk, false, false)
            }
            if cancelled { throw CancellationError() }
            if let chunk {
                signal.raise()
                return chunk
            }
            if ended { return nil }
            await withCheckedContinuation { continuation in
                let resumeNow = state.withLock { state -> Bool in
                    if !state.chunks.isEmpty || state.isFinished || state.isCancelled {
                        return true
                    }
                    state.waiter = continuation
                    return false
                }
                if resumeNow { continuation.resume() }
            }
        }
    }
}
