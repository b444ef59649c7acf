/// Credentials in environment variables: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
/// `AWS_SESSION_TOKEN`, or Litestream's `LITESTREAM_ACCESS_KEY_ID` and
/// `LITESTREAM_SECRET_ACCESS_KEY`.
package struct EnvironmentCredentials: CredentialProvider {
    /// As the protocol says.
    package let name = "environment"
    private let environment: [String: String]

    /// A provider that looks into `environment`.
    package init(_ environment: [String: String]) { self.environment = environment }

    /// As the protocol says.
    package func load() async throws(CredentialError) -> Credentials? {
        for prefix in ["AWS_", "LITESTREAM_"] {
            let id = value(prefix + "ACCESS_KEY_ID")
            let secret = value(prefix + "SECRET_ACCESS_KEY")
            switch (id, secret) {
            case (nil, nil): continue
            case (let id?, let secret?):
                return Credentials(
                    accessKeyID: id,
                    secretAccessKey: secret,
                    sessionToken: prefix == "AWS_" ? value("AWS_SESSION_TOKEN") : nil,
                    source: "environment (\(prefix)ACCESS_KEY_ID)"
                )
            default:
                throw CredentialError(
                    "\(prefix)ACCESS_KEY_ID and \(prefix)SECRET_ACCESS_KEY must both be set"
                )
            }
        }
        return nil
    }

    private func value(_ name: String) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}
