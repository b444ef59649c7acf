package import ObjectStorage
package import Platform

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
            credentials: CredentialCache(context.chain, log: log),
            policy: policy,
            log: log
        )
        self.init(client: client)
    }
}
