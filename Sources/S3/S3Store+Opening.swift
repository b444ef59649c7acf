package import ObjectStorage
package import Platform

extension S3Store {
    /// The store that a URL and the environment describe. No request is made.
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
        let credentials = CredentialCache([EnvironmentCredentials(environment)], log: log)
        self.init(
            client: S3Client(configuration, credentials: credentials, policy: policy, log: log)
        )
    }
}
