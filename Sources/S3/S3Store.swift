import Bytes
import HTTPTransport
package import ObjectStorage
import Platform
import Synchronization

/// Objects in a bucket of S3, or of a store that speaks like it.
///
/// A `put` of up to a part's size is one request. A listing never decides about absence: only an
/// answer of `NoSuchKey` does.
package final class S3Store: ObjectStore {
    /// What signs and sends.
    package let client: S3Client
    let state = Mutex(Learned())

    /// What the store turned out to be like.
    struct Learned {
        var deletesBatches: Bool
        var conditionalWrites: ConditionalWrites?

        init() {
            deletesBatches = true
            conditionalWrites = nil
        }
    }

    /// The store behind `client`.
    package init(client: S3Client) {
        self.client = client
        state.withLock { $0.deletesBatches = client.configuration.provider.deletesBatches }
    }

    var configuration: S3Configuration { client.configuration }

    /// As the protocol says.
    package var clockOffset: Int64? { client.clockOffset }

    /// The object's key in the bucket.
    func fullKey(_ key: ObjectKey) -> String { configuration.keyPrefix + key.path }

    func check(_ key: ObjectKey, _ operation: StoreError.Operation) throws(StoreError) {
        guard fullKey(key).utf8.count <= 1024 else {
            throw StoreError(
                .invalid,
                operation,
                object: "s3://\(configuration.bucket)/\(fullKey(key))",
                "with its prefix the key is longer than 1024 bytes; use a shorter prefix"
            )
        }
    }

    /// Sends a request and turns its failure into a store's.
    func perform(
        _ request: S3Request,
        _ operation: StoreError.Operation
    ) async throws(StoreError) -> S3Client.Answer {
        do {
            return try await client.perform(request)
        } catch {
            throw error.storeError(operation, request.key, client)
        }
    }

    func damaged(
        _ operation: StoreError.Operation,
        _ key: String?,
        _ message: String
    ) -> StoreError {
        let object = "s3://\(configuration.bucket)" + (key.map { "/" + $0 } ?? "")
        return StoreError(.damaged, operation, object: object, message)
    }

    /// As the protocol says.
    package func head(_ key: ObjectKey) async throws(StoreError) -> ObjectInfo? {
        try check(key, .head)
        var request = S3Request(.head, .head, key: fullKey(key))
        request.headers = configuration.readingHeaders
        do {
            return Self.info(of: key, try await client.perform(request).response)
        } catch {
            if error.code == "NoSuchKey" { return nil }
            throw error.storeError(.head, request.key, client)
        }
    }

    private static func info(of key: ObjectKey, _ response: HTTPResponse) -> ObjectInfo {
        ObjectInfo(
            key: key,
            size: response.header("content-length").flatMap { UInt64($0) } ?? 0,
            modified: response.header("last-modified").flatMap { HTTPDate.parse($0) },
            entityTag: response.header("etag")
        )
    }
}
