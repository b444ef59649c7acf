import Bytes
import FoundationEssentials

/// The JSON in which programs and services hand out credentials: `credential_process`, containers
/// and instance metadata, which differ in names only.
struct CredentialDocument: Decodable {
    var code: String?
    var message: String?
    var version: Int?
    var accessKeyId: String?
    var secretAccessKey: String?
    var token: String?
    var sessionToken: String?
    var expiration: String?

    enum CodingKeys: String, CodingKey {
        case code = "Code"
        case message = "Message"
        case version = "Version"
        case accessKeyId = "AccessKeyId"
        case secretAccessKey = "SecretAccessKey"
        case token = "Token"
        case sessionToken = "SessionToken"
        case expiration = "Expiration"
    }

    /// The document in `bytes`. The text itself never appears in an error.
    init(parsing bytes: [UInt8], from source: String) throws(CredentialError) {
        do {
            self = try JSONDecoder().decode(CredentialDocument.self, from: Data(bytes))
        } catch {
            throw CredentialError("\(source) did not answer with JSON of credentials")
        }
    }

    /// The credentials.
    func credentials(source: String) throws(CredentialError) -> Credentials {
        if let code, code != "Success" {
            throw CredentialError("\(source) says \(code): \(message ?? "")", isRetryable: true)
        }
        guard let accessKeyId, let secretAccessKey, !accessKeyId.isEmpty else {
            throw CredentialError("\(source) answered without AccessKeyId and SecretAccessKey")
        }
        var end: Timestamp?
        if let expiration {
            guard let time = Timestamp(rfc3339: expiration) else {
                throw CredentialError("\(source) answered with an Expiration that is no time")
            }
            end = time
        }
        return Credentials(
            accessKeyID: accessKeyId,
            secretAccessKey: secretAccessKey,
            sessionToken: sessionToken ?? token,
            expiration: end,
            source: source
        )
    }
}

/// The file that `aws sso login` leaves behind.
struct SingleSignOnToken: Decodable {
    var accessToken: String
    var expiresAt: String

    /// The token in `bytes`.
    init?(parsing bytes: [UInt8]) {
        guard let token = try? JSONDecoder().decode(SingleSignOnToken.self, from: Data(bytes))
        else { return nil }
        self = token
    }
}

/// The answer of the single sign-on service.
struct SingleSignOnAnswer: Decodable {
    struct Role: Decodable {
        var accessKeyId: String
        var secretAccessKey: String
        var sessionToken: String
        /// Milliseconds since the epoch.
        var expiration: Int64
    }
    var roleCredentials: Role

    /// The answer in `bytes`.
    init?(parsing bytes: [UInt8]) {
        guard let answer = try? JSONDecoder().decode(SingleSignOnAnswer.self, from: Data(bytes))
        else { return nil }
        self = answer
    }
}
