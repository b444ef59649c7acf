import HTTPTransport
import ObjectStorage

extension S3Failure {
    /// The failure as every store reports it: what was attempted on which object, what the store
    /// said, and what to do.
    func storeError(
        _ operation: StoreError.Operation,
        _ key: String?,
        _ client: S3Client
    ) -> StoreError {
        let bucket = client.configuration.bucket
        let object = "s3://\(bucket)" + (key.map { "/" + $0 } ?? "")
        let (code, text) = description(operation, client)
        let tries = attempts > 1 ? " (after \(attempts) attempts)" : ""
        var error = StoreError(code, operation, object: object, text + tries)
        error.mayHaveArrived = mayHaveArrived
        return error
    }

    private func description(
        _ operation: StoreError.Operation,
        _ client: S3Client
    ) -> (StoreError.Code, String) {
        let address = client.configuration.address(region: client.region).endpoint
        switch cause {
        case .credentials(let error):
            return (error.isRetryable ? .unreachable : .accessDenied, error.description)
        case .malformed(let text):
            return (.unreachable, "\(address) sent what we do not understand: \(text)")
        case .transfer(let error):
            return (
                Self.code(of: error),
                "\(address): \(error.message)\(Self.remedy(of: error, address))"
            )
        case .answer(let answer):
            guard answer.isFromS3 else {
                let excerpt = answer.message.isEmpty ? "" : ": \"\(answer.message)\""
                return (
                    answer.status == 401 || answer.status == 407 ? .accessDenied : .unreachable,
                    "\(address) answered \(answer.status), but not in the words of S3\(excerpt);"
                        + " check the endpoint, and proxies on the way"
                )
            }
            let known = Self.known(answer.code, status: answer.status)
            let remedy = known.remedy.isEmpty ? "" : "; " + known.remedy
            return (known.code, Self.sentence(answer) + remedy)
        }
    }

    private static func sentence(_ answer: ErrorAnswer) -> String {
        var text = "\(answer.status) \(answer.code)"
        if !answer.message.isEmpty { text += ": \(answer.message)" }
        if let id = answer.requestID { text += " (request id \(id)" }
        if answer.requestID != nil {
            text += answer.hostID.map { ", host id \($0))" } ?? ")"
        }
        return text
    }

    private static func code(of error: TransferError) -> StoreError.Code {
        switch error.code {
        case .invalidURL: .invalid
        case .tooLarge: .damaged
        default: .unreachable
        }
    }

    private static func remedy(of error: TransferError, _ address: Endpoint) -> String {
        switch error.code {
        case .unresolved: "; check the endpoint's name and this machine's DNS"
        case .unconnected: "; check the endpoint's address and port, and firewalls"
        case .handshake, .invalidURL:
            address.isSecure
                ? "; if the endpoint does not speak TLS, write endpoint=http://…" : ""
        case .untrusted:
            "; name the CA that signed the certificate with ca-bundle=FILE or AWS_CA_BUNDLE"
        case .interrupted:
            address.isSecure ? "" : "; if the endpoint speaks TLS, write endpoint=https://…"
        case .timedOut, .cancelled, .tooLarge, .failed: ""
        }
    }

    /// What S3's codes mean to us, and what to do.
    private static let meanings: [String: (code: StoreError.Code, remedy: String)] = [
        "NoSuchKey": (.notFound, ""),
        "NoSuchBucket": (
            .noBucket, "check the bucket's name, or create it; Highwater creates no buckets"
        ),
        "PreconditionFailed": (.preconditionFailed, ""),
        "AccessDenied": (
            .accessDenied,
            "the key needs s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject here"
        ),
        "AllAccessDisabled": (.accessDenied, ""),
        "AccountProblem": (.accessDenied, ""),
        "InvalidAccessKeyId": (.accessDenied, "the store does not know this access key id"),
        "SignatureDoesNotMatch": (.accessDenied, "the secret access key is wrong"),
        "InvalidSecurity": (.accessDenied, ""),
        "ExpiredToken": (.accessDenied, "get new temporary credentials"),
        "ExpiredTokenException": (.accessDenied, "get new temporary credentials"),
        "TokenRefreshRequired": (.accessDenied, "get new temporary credentials"),
        "InvalidToken": (.accessDenied, "AWS_SESSION_TOKEN does not belong to the key, or is cut"),
        "RequestTimeTooSkewed": (.accessDenied, "set this machine's clock"),
        "TooSkewed": (.accessDenied, "set this machine's clock"),
        "RequestExpired": (.accessDenied, "set this machine's clock"),
        "RequestInTheFuture": (.accessDenied, "set this machine's clock"),
        "QuotaExceeded": (.noSpace, "make room in the bucket"),
        "InsufficientStorage": (.noSpace, "make room in the bucket"),
        "EntityTooLarge": (.invalid, "set a smaller part-size"),
        "EntityTooSmall": (.invalid, "set a larger part-size"),
        "InvalidBucketName": (.invalid, "check the bucket's name"),
        "KeyTooLongError": (.invalid, "use a shorter prefix"),
        "InvalidStorageClass": (.invalid, "check storage-class"),
        "AuthorizationHeaderMalformed": (.invalid, "set region"),
        "IllegalLocationConstraintException": (.invalid, "set region"),
        "PermanentRedirect": (.invalid, "set the bucket's own region or endpoint"),
        "TemporaryRedirect": (.unreachable, "set the bucket's own region or endpoint"),
        "NotImplemented": (.unsupported, "the store does not offer this"),
        "MethodNotAllowed": (.unsupported, "the store does not offer this"),
        "NoSuchUpload": (.unreachable, "the upload was removed meanwhile"),
    ]

    private static func known(
        _ code: String,
        status: Int
    ) -> (code: StoreError.Code, remedy: String) {
        if let meaning = meanings[code] { return meaning }
        switch status {
        case 401, 403: return (.accessDenied, "")
        case 412: return (.preconditionFailed, "")
        case 507: return (.noSpace, "make room in the bucket")
        case 400, 405, 411, 413, 414: return (.invalid, "")
        case 501: return (.unsupported, "the store does not offer this")
        default: return (.unreachable, "")
        }
    }
}
