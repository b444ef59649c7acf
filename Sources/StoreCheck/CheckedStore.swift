package import ObjectStorage
package import S3

/// What only some stores can be asked, next to the five verbs.
package protocol CheckedStore: ObjectStore {
    /// Whether an object that exists is kept when it is to be stored only if absent, whoever
    /// stores it.
    func refusesToReplace() async throws(StoreError) -> Bool

    /// Whether content that does not have the announced MD5 is refused; nil where none is sent.
    func refusesWrongDigest(_ key: ObjectKey) async throws(StoreError) -> Bool?

    /// The store's clock minus this machine's in milliseconds, by its last answer.
    var clockOffsetMilliseconds: Int64? { get }

    /// From how many bytes on an object is stored in several requests; nil: never.
    var partBytes: Int? { get }

    /// Removes folders that are left empty, deepest first, where a store has folders at all.
    func removeEmptyFolders(_ folders: [String]) async
}

extension FolderStore: CheckedStore {
    /// Files are linked under a name that must be free, which the kernel sees to.
    package func refusesToReplace() async throws(StoreError) -> Bool { true }
    /// A folder is sent no digests.
    package func refusesWrongDigest(_ key: ObjectKey) async throws(StoreError) -> Bool? { nil }
    /// It has this machine's clock.
    package var clockOffsetMilliseconds: Int64? { nil }
    /// Files have no parts.
    package var partBytes: Int? { nil }
}

extension S3Store: CheckedStore {
    /// As a probe of the bucket says, not as a table of providers does.
    package func refusesToReplace() async throws(StoreError) -> Bool {
        try await conditionalWrites() == .supported
    }

    /// By the Date header.
    package var clockOffsetMilliseconds: Int64? { client.clockOffset }

    /// A bucket has no folders.
    package func removeEmptyFolders(_ folders: [String]) async {}

    /// As the client cuts uploads.
    package var partBytes: Int? { client.configuration.partBytes ?? S3.Limits.partBytes }
}
