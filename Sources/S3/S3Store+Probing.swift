import HTTPTransport
package import ObjectStorage
import Synchronization

/// Whether a store refuses to overwrite when it is asked to (`If-None-Match: *`).
package enum ConditionalWrites: String, Sendable {
    /// A probe saw it refuse.
    case supported
    /// It ignores or does not know the wish: looking first has to do, which is no lock.
    case unsupported
}

extension S3Store {
    /// As the protocol says: what a probe saw.
    package func honoursIfAbsent() async throws(StoreError) -> Bool {
        try await conditionalWrites() == .supported
    }

    /// What a probe says about conditional writes, found out once: an object is written twice, and
    /// the second time has to be refused and change nothing.
    package func conditionalWrites() async throws(StoreError) -> ConditionalWrites {
        if configuration.provider.conditionalWrites == .none { return .unsupported }
        if let known = state.withLock({ $0.conditionalWrites }) { return known }
        let found = try await probeConditionalWrites()
        state.withLock { $0.conditionalWrites = found }
        if found == .unsupported {
            client.log(
                .warning,
                "the store does not honour If-None-Match: two writers are noticed, not prevented",
                [("bucket", configuration.bucket)]
            )
        }
        return found
    }

    private func probeConditionalWrites() async throws(StoreError) -> ConditionalWrites {
        let key = "\(configuration.keyPrefix).probe/\(Self.attemptToken())"
        func request(_ text: String) -> S3Request {
            var request = S3Request(.put, .put, key: key)
            request.set(body: [Array(text.utf8)], sendsMD5: configuration.sendsMD5)
            request.headers += configuration.storingHeaders
            request.headers.append((name: "if-none-match", value: "*"))
            return request
        }
        do {
            _ = try await client.perform(request("first"))
        } catch {
            // 412 here is our own repeated attempt, or a store that refuses whatever it is.
            guard error.code == "PreconditionFailed" else {
                if Self.isUnknownHeader(error) { return .unsupported }
                throw error.storeError(.put, key, client)
            }
        }
        var isRefused = false
        do {
            _ = try await client.perform(request("second"))
        } catch {
            isRefused = error.code == "PreconditionFailed"
            guard isRefused || Self.isUnknownHeader(error) else {
                throw error.storeError(.put, key, client)
            }
        }
        var get = S3Request(.get, .get, key: key)
        get.headers = configuration.readingHeaders
        let content = try await perform(get, .get).response.body
        // A key that may only write leaves the probe behind; lifecycle rules can take it.
        _ = try? await client.perform(S3Request(.delete, .delete, key: key))
        return isRefused && content == Array("first".utf8) ? .supported : .unsupported
    }

    private static func isUnknownHeader(_ failure: S3Failure) -> Bool {
        guard let status = failure.status else { return false }
        return status == 501 || status == 405 || failure.code == "NotImplemented"
            || failure.code == "InvalidArgument" || failure.code == "InvalidRequest"
    }
}
