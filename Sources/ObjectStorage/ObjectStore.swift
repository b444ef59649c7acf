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
