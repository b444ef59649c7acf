import Digests
import HTTPTransport
package import ObjectStorage

extension S3Store {
    /// Whether the store refuses content that does not have the announced MD5. The object is there
    /// afterwards if it does not. Nil when the client sends no MD5, or the machine has none.
    package func refusesWrongDigest(_ key: ObjectKey) async throws(StoreError) -> Bool? {
        try check(key, .put)
        let announced = [UInt8]("announced".utf8)
        guard configuration.sendsMD5, let digest = try? Digest.digest(.md5, [announced]) else {
            return nil
        }
        var request = S3Request(.put, .put, key: fullKey(key))
        request.set(body: [[UInt8]("something else".utf8)], sendsMD5: false)
        request.headers += configuration.storingHeaders
        request.headers.append((name: "content-md5", value: Base64.encode(digest)))
        // One attempt: a refusal is what is wanted.
        request.totalMilliseconds = 60_000
        do {
            _ = try await client.perform(request)
            return false
        } catch {
            if error.status == 400 { return true }
            throw error.storeError(.put, request.key, client)
        }
    }
}
