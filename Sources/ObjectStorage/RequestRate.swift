package import Bytes
package import Platform
import Synchronization

/// A ceiling for the requests of a process: a token bucket that holds one second's worth.
package final class RequestRate: Sendable {
    /// Requests per second.
    package let perSecond: Double
    /// Tokens, and when they were counted. Fewer than none: so many requests wait.
    private let bucket: Mutex<(tokens: Double, time: MonotonicTime)>

    /// A ceiling of `perSecond` requests, above zero.
    package init(perSecond: Double) {
        precondition(perSecond > 0, "a ceiling is above zero")
        self.perSecond = perSecond
        bucket = Mutex((max(1, perSecond), .now))
    }

    /// Nanoseconds that a request has to wait which is made `now`; it counts from now on.
    package func delay(_ now: MonotonicTime) -> Int64 {
        bucket.withLock { bucket in
            let passed = Double(now - bucket.time) / 1e9
            bucket.tokens = min(max(1, perSecond), bucket.tokens + passed * perSecond) - 1
            bucket.time = now
            return bucket.tokens >= 0 ? 0 : Int64(-bucket.tokens / perSecond * 1e9)
        }
    }

    /// Waits until a request may be made.
    func wait(for key: String) async throws(StoreError) {
        let delay = delay(.now)
        guard delay > 0 else { return }
        do {
            try await Pause.sleep(nanoseconds: delay)
        } catch {
            throw StoreError(.unreachable, .put, object: key, "cancelled before it was made")
        }
    }
}

/// A store whose requests keep below a ceiling. What one call makes of several requests (an upload
/// in parts, a listing of several pages) counts as one.
package struct RateLimitedStore: ObjectStore {
    private let store: any ObjectStore
    private let rate: RequestRate

    /// `store`, whose calls wait for `rate`.
    package init(_ store: any ObjectStore, rate: RequestRate) {
        self.store = store
        self.rate = rate
    }

    /// Stores an object; see `ObjectStore`.
    package func put(
        _ key: ObjectKey,
        body: any ObjectBody,
        ifAbsent: Bool
    ) async throws(StoreError) {
        try await rate.wait(for: key.path)
        try await store.put(key, body: body, ifAbsent: ifAbsent)
    }

    /// An object's bytes; see `ObjectStore`.
    package func get(_ key: ObjectKey, range: Range<UInt64>?) async throws(StoreError) -> [UInt8] {
        try await rate.wait(for: key.path)
        return try await store.get(key, range: range)
    }

    /// The bytes of an object that has to be the same one; see `ObjectStore`.
    package func get(
        _ key: ObjectKey,
        range: Range<UInt64>?,
        ifMatch: String?
    ) async throws(StoreError) -> [UInt8] {
        try await rate.wait(for: key.path)
        return try await store.get(key, range: range, ifMatch: ifMatch)
    }

    /// An object's description; see `ObjectStore`.
    package func head(_ key: ObjectKey) async throws(StoreError) -> ObjectInfo? {
        try await rate.wait(for: key.path)
        return try await store.head(key)
    }

    /// The objects below a prefix; see `ObjectStore`.
    package func list(
        prefix: String,
        after: String?,
        limit: Int?
    ) async throws(StoreError) -> [ObjectInfo] {
        try await rate.wait(for: prefix)
        return try await store.list(prefix: prefix, after: after, limit: limit)
    }

    /// Deletes objects; see `ObjectStore`.
    package func delete(_ keys: [ObjectKey]) async throws(StoreError) {
        try await rate.wait(for: keys.first?.path ?? "")
        try await store.delete(keys)
    }

    /// Whether `ifAbsent` is a lock. Found out once, and counts for nothing.
    package func honoursIfAbsent() async throws(StoreError) -> Bool {
        try await store.honoursIfAbsent()
    }

    /// Removes what uploads have left behind; see `ObjectStore`.
    package func removeStaleUploads(
        prefix: String,
        before time: Timestamp
    ) async throws(StoreError) -> Int {
        try await rate.wait(for: prefix)
        return try await store.removeStaleUploads(prefix: prefix, before: time)
    }

    /// The clocks' difference; see `ObjectStore`.
    package var clockOffset: Int64? { store.clockOffset }
}
