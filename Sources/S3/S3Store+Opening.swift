import HTTPTransport
package import ObjectStorage
package import Platform
import Synchronization

extension S3Store {
    /// The store that a URL and the environment describe. No request is made, and no file read:
    /// credentials are looked for when the first request needs them.
    ///
    /// - Throws: `invalid` when the URL makes no sense.
    package convenience init(
        _ url: BucketURL,
        environment: [String: String],
        policy: RetryPolicy,
        executor: ThreadExecutor,
        log: @escaping StoreLog = { _, _, _ in }
    ) throws(StoreError) {
        let configuration = try S3Configuration(url, environment: environment)
        let context = CredentialContext(
            environment: environment,
            files: SharedFiles(environment: environment, executor: executor, log: log),
            profile: configuration.profile,
            region: configuration.firstRegion
        )
        let client = S3Client(
            configuration,
            credentials: SharedByStores.process.credentials(of: context, log: log),
            policy: policy,
            gate: SharedByStores.process.gate(for: configuration),
            log: log
        )
        self.init(client: client)
    }
}

/// What all stores of the process have in common, however many databases there are: one set of
/// credentials for each profile, and one bound for each endpoint.
private final class SharedByStores: Sendable {
    static let process = SharedByStores()

    private struct State {
        var caches: [String: CredentialCache] = [:]
        var gates: [String: RequestGate] = [:]
    }

    private let state = Mutex(State())

    func credentials(of context: CredentialContext, log: @escaping StoreLog) -> CredentialCache {
        state.withLock { state in
            // The environment is the process's, so the profile and region are all that differ.
            let name = "\(context.region) \(context.profile ?? "")"
            if let known = state.caches[name] { return known }
            let cache = CredentialCache(context.chain, log: log)
            state.caches[name] = cache
            return cache
        }
    }

    func gate(for configuration: S3Configuration) -> RequestGate {
        state.withLock { state in
            let name = configuration.endpoint?.origin ?? ""
            if let known = state.gates[name] { return known }
            let gate = RequestGate(limit: Limits.concurrentRequests)
            state.gates[name] = gate
            return gate
        }
    }
}
