package import Bytes

/// Who signs a request.
package struct Credentials: Hashable, Sendable, CustomStringConvertible {
    /// The public half: it appears in requests, logs and messages.
    package let accessKeyID: String
    /// The secret half: it appears nowhere.
    package let secretAccessKey: String
    /// The token that goes with temporary credentials.
    package let sessionToken: String?
    /// When they end.
    package let expiration: Timestamp?
    /// Where they came from, in words.
    package let source: String

    /// Credentials from `source`.
    package init(
        accessKeyID: String,
        secretAccessKey: String,
        sessionToken: String? = nil,
        expiration: Timestamp? = nil,
        source: String
    ) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken.flatMap { $0.isEmpty ? nil : $0 }
        self.expiration = expiration
        self.source = source
    }

    package var description: String { "\(accessKeyID) (\(source))" }
}
