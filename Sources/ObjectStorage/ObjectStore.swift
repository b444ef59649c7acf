package import Bytes

/// What a store says of an object.
package struct ObjectInfo: Hashable, Sendable {
    /// Its name.
    package let key: ObjectKey
    /// Its length in bytes.
    package let size: UInt64
    /// When it was stored, by the store's clock, if the store says so.
    package let modified: Timestamp?
    /// A text that changes with the content, if the store has one.
    package let entityTag: String?

    /// A description of an object.
    package init(
        key: ObjectKey,
        size: UInt64,
        modified: Timestamp? = nil,
        entityTag: String? = nil
    ) {
        self.key = key
        self.size = size
        self.modified = modified
        self.entityTag = entityTag
    }
}

/// A place for immutable objects: five verbs, the same for a folder, a bucket and a test.
///
/// Every method may be called by many tasks at once, and none of them blocks the caller's thread.
package protocol ObjectStore: Sendable {
    /// Stores an object, durably: when the call returns, the object is whole and survives a power
    /// cut. When it throws, there is either nothing new or the whole object, never a part.
    ///
    /// - Throws: `preconditionFailed` when `ifAbsent` and the object exists, which then is
    ///   unchanged.
    func put(_ key: ObjectKey, body: any ObjectBody, ifAbsent: Bool) async throws(StoreError)

    /// The object's bytes in `range`, or all of them: as many as there are, so fewer than asked
    /// for (even none) when the object ends earlier.
    ///
    /// - Throws: `notFound` only when the store said so.
    func get(_ key: ObjectKey, range: Range<UInt64>?) async throws(StoreError) -> [UInt8]

    /// The object's description; nil only when the store said that there is no such object.
    func head(_ key: ObjectKey) async throws(StoreError) -> ObjectInfo?

    /// The objects whose keys begin with the text `prefix` and come after `after`, in key order,
    /// at most `limit` of them.
    func list(
        prefix: String,
        after: String?,
        limit: Int?
    ) async throws(StoreError) -> [ObjectInfo]

    /// Deletes objects; those that do not exist are fine.
    func delete(_ keys: [ObjectKey]) async throws(StoreError)

    /// As `get(_:range:)`, and only if the object still has this entity tag. Stores without tags
    /// do not look at it.
    ///
    /// - Throws: `preconditionFailed` when the object is another one by now.
    func get(
        _ key: ObjectKey,
        range: Range<UInt64>?,
        ifMatch: String?
    ) async throws(StoreError) -> [UInt8]

    /// Whether `ifAbsent` is a lock: of several writers one wins. Without it the store looks first
    /// and then writes. May make a few requests the first time.
    func honoursIfAbsent() async throws(StoreError) -> Bool

    /// Removes what uploads of keys that begin with `prefix`, which began before `time` and never
    /// ended, have left behind; how many there were.
    func removeStaleUploads(
        prefix: String,
        before time: Timestamp
    ) async throws(StoreError) -> Int

    /// The store's clock minus this machine's in milliseconds, by the last answer that told it;
    /// nil when none did. Makes no request.
    var clockOffset: Int64? { get }

    /// Whether `head` is no request to anybody and costs next to nothing.
    var looksCostNothing: Bool { get }
}

extension ObjectStore {
    /// For stores without entity tags.
    package func get(
        _ key: ObjectKey,
        range: Range<UInt64>?,
        ifMatch: String?
    ) async throws(StoreError) -> [UInt8] {
        try await get(key, range: range)
    }

    /// For stores that always do.
    package func honoursIfAbsent() async throws(StoreError) -> Bool { true }

    /// For stores whose uploads leave nothing behind.
    package func removeStaleUploads(
        prefix: String,
        before time: Timestamp
    ) async throws(StoreError) -> Int { 0 }

    /// For stores on this machine.
    package var clockOffset: Int64? { nil }

    /// For stores that have to be asked.
    package var looksCostNothing: Bool { false }
}

extension ObjectStore {
    /// All objects whose keys begin with the text `prefix` and come after `after`, in key order.
    package func list(prefix: String, after: String? = nil) async throws(StoreError) -> [ObjectInfo]
    {
        try await list(prefix: prefix, after: after, limit: nil)
    }

    /// Stores `bytes` as an object. See `put(_:body:ifAbsent:)`.
    package func put(
        _ key: ObjectKey,
        bytes: [UInt8],
        ifAbsent: Bool = false
    ) async throws(StoreError) {
        try await put(key, body: BytesBody(bytes), ifAbsent: ifAbsent)
    }

    /// All bytes of an object.
    package func get(_ key: ObjectKey) async throws(StoreError) -> [UInt8] {
        try await get(key, range: nil)
    }
}
