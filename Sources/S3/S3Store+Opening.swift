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
/// credentials for each profile or pair of keys, and one bound for each endpoint.
private final class SharedByStores: Sendable {
    static let process = SharedByStores()

    /// What credentials depend on, of what may differ between stores of one process.
    private struct Source: Hashable {
        var region: String
        var profile: String?
        var variables: [String?]
    }

    private struct State {
        var caches: [Source: CredentialCache] = [:]
        var gates: [String: RequestGate] = [:]
    }

    private let state = Mutex(State())

    func credentials(of context: CredentialContext, log: @escaping StoreLog) -> CredentialCache {
        state.withLock { state in
            let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
            let source = Source(
                region: context.region,
                profile: context.profile,
                variables: names.map { context.environment[$0] }
            )
            if let known = state.caches[source] { return known }
            let cache = CredentialCache(context.chain, log: log)
            state.caches[source] = cache
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
