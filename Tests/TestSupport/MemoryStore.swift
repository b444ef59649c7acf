import Bytes
import ObjectStorage
import Platform
import Synchronization

/// Objects in memory, with faults on demand.
package final class MemoryStore: ObjectStore {
    /// One request, as the hook sees it.
    package struct Request: Sendable {
        package let operation: StoreError.Operation
        package let key: String
        /// How many requests came before this one.
        package let number: Int
    }

    /// What the hook wants to happen to a request.
    package enum Fault: Sendable {
        /// Nothing happens, and the request fails.
        case before(StoreError.Code)
        /// The request takes effect, and fails: an answer that was lost.
        case after(StoreError.Code)
    }

    private struct State {
        var objects: [ObjectKey: [UInt8]] = [:]
        var modified: [ObjectKey: Timestamp] = [:]
        var now: Timestamp?
        var clockOffset: Int64?
        var requests = 0
        var bytesRead: UInt64 = 0
        var hook: (@Sendable (Request) -> Fault?)?
    }

    private let state = Mutex(State())

    /// An empty store.
    package init() {}

    /// Lets `hook` decide about each request from now on.
    package func setHook(_ hook: (@Sendable (Request) -> Fault?)?) {
        state.withLock { $0.hook = hook }
    }

    /// All objects, for tests that look at or damage them.
    package var objects: [ObjectKey: [UInt8]] {
        get { state.withLock { $0.objects } }
        set { state.withLock { $0.objects = newValue } }
    }

    /// The store's clock: what it says of objects stored from now on; nil, and it says nothing.
    package var now: Timestamp? {
        get { state.withLock { $0.now } }
        set { state.withLock { $0.now = newValue } }
    }

    /// As the protocol says; a test sets it.
    package var clockOffset: Int64? {
        get { state.withLock { $0.clockOffset } }
        set { state.withLock { $0.clockOffset = newValue } }
    }

    /// A store with the same objects and clock, and no hook.
    package func copy() -> MemoryStore {
        let (objects, modified, now, offset) = state.withLock {
            ($0.objects, $0.modified, $0.now, $0.clockOffset)
        }
        let copy = MemoryStore()
        copy.state.withLock {
            $0.objects = objects
            $0.modified = modified
            $0.now = now
            $0.clockOffset = offset
        }
        return copy
    }

    /// Requests so far.
    package var requestCount: Int { state.withLock { $0.requests } }

    /// Bytes handed out by `get` so far.
    package var bytesRead: UInt64 { state.withLock { $0.bytesRead } }

    package func put(
        _ key: ObjectKey,
        body: any ObjectBody,
        ifAbsent: Bool
    ) async throws(StoreError) {
        let content = try await Self.content(of: body, for: key)
        try perform(.put, key.path) { state throws(StoreError) in
            if ifAbsent, state.objects[key] != nil {
                throw StoreError(.preconditionFailed, .put, object: key.path, "it exists")
            }
            state.objects[key] = content
            state.modified[key] = state.now
        }
    }

    /// All bytes of a body; what goes wrong with it is an error of the put.
    package static func content(
        of body: any ObjectBody,
        for key: ObjectKey
    ) async throws(StoreError) -> [UInt8] {
        var body = body
        var bytes: [UInt8] = []
        do {
            while let chunk = try await body.next() { bytes += chunk }
        } catch {
            throw StoreError(.bodyFailed, .put, object: key.path, "\(error)")
        }
        return bytes
    }

    package func get(
        _ key: ObjectKey,
        range: Range<UInt64>?
    ) async throws(StoreError) -> [UInt8] {
        try perform(.get, key.path) { state throws(StoreError) in
            guard let bytes = state.objects[key] else {
                throw StoreError(.notFound, .get, object: key.path, "there is no such object")
            }
            guard let range else {
                state.bytesRead += UInt64(bytes.count)
                return bytes
            }
            let lower = Int(min(range.lowerBound, UInt64(bytes.count)))
            let upper = Int(min(range.upperBound, UInt64(bytes.count)))
            state.bytesRead += UInt64(upper - lower)
            return Array(bytes[lower..<upper])
        }
    }

    package func head(_ key: ObjectKey) async throws(StoreError) -> ObjectInfo? {
        try perform(.head, key.path) { state throws(StoreError) in
            state.objects[key].map {
                ObjectInfo(key: key, size: UInt64($0.count), modified: state.modified[key])
            }
        }
    }

    package func list(
        prefix: String,
        after: String?,
        limit: Int?
    ) async throws(StoreError) -> [ObjectInfo] {
        try perform(.list, prefix) { state throws(StoreError) in
            let keys = state.objects.keys.filter { key in
                key.path.utf8.starts(with: prefix.utf8)
                    && (after.map { $0.utf8.lexicographicallyPrecedes(key.path.utf8) } ?? true)
            }
            return keys.sorted().prefix(limit ?? .max).map { key in
                ObjectInfo(
                    key: key,
                    size: UInt64(state.objects[key]?.count ?? 0),
                    modified: state.modified[key]
                )
            }
        }
    }

    package func delete(_ keys: [ObjectKey]) async throws(StoreError) {
        try perform(.delete, keys.first?.path ?? "") { state throws(StoreError) in
            for key in keys { state.objects[key] = nil }
        }
    }

    private func perform<T: Sendable>(
        _ operation: StoreError.Operation,
        _ key: String,
        _ body: (inout State) throws(StoreError) -> T
    ) throws(StoreError) -> T {
        try state.withLock { state throws(StoreError) in
            let request = Request(operation: operation, key: key, number: state.requests)
            state.requests += 1
            let fault = state.hook?(request)
            if case .before(let code) = fault {
                throw StoreError(code, operation, object: key, "a fault of the test")
            }
            let result = try body(&state)
            if case .after(let code) = fault {
                throw StoreError(code, operation, object: key, "a fault of the test")
            }
            return result
        }
    }
}
