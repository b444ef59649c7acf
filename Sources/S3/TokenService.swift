import Bytes
import Digests
import HTTPTransport

/// Amazon's token service (STS), which lends the rights of a role for a while.
struct TokenService {
    let context: CredentialContext
    let region: String

    init(context: CredentialContext, region: String? = nil) {
        self.context = context
        self.region = region ?? context.region
    }

    /// Exchanges a web identity token. The request is not signed: the token is the proof.
    func assumeRole(
        _ role: String,
        session: String?,
        webIdentityToken token: String,
        source: String
    ) async throws(CredentialError) -> Credentials {
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"), ("RoleArn", role),
            ("RoleSessionName", session ?? Self.sessionName(context)),
            ("WebIdentityToken", token),
        ]
        return try await ask(form, signedBy: nil, source: source)
    }

    /// Exchanges credentials for those of a role.
    func assumeRole(
        _ role: String,
        session: String?,
        externalID: String?,
        seconds: String?,
        as base: Credentials,
        source: String
    ) async throws(CredentialError) -> Credentials {
        var form = [
            ("Action", "AssumeRole"), ("RoleArn", role),
            ("RoleSessionName", session ?? Self.sessionName(context)),
        ]
        if let externalID { form.append(("ExternalId", externalID)) }
        if let seconds { form.append(("DurationSeconds", seconds)) }
        return try await ask(form, signedBy: base, source: source)
    }

    private static func sessionName(_ context: CredentialContext) -> String {
        "highwater-\(context.clock.now().milliseconds)"
    }

    private func ask(
        _ form: [(String, String)],
        signedBy base: Credentials?,
        source: String
    ) async throws(CredentialError) -> Credentials {
        let domain = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        let named = context.variable("AWS_ENDPOINT_URL_STS").flatMap { Endpoint($0) }
        let endpoint = named ?? Endpoint(host: "sts.\(region).\(domain)")
        let pairs = (form + [("Version", "2011-06-15")]).map { name, value in
            "\(name)=\(URIEncoding.encode(value))"
        }
        let body = Array(pairs.joined(separator: "&").utf8)
        var request = HTTPRequest(
            .post,
            url: endpoint.origin + "/",
            responseLimit: Limits.credentialBytes
        )
        request.body = HTTPBody([body])
        request.options.totalMilliseconds = 20_000
        request.headers = [
            HTTPHeader("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        ]
        if let base { sign(&request, endpoint, body, base) }
        // An identity provider that is slow to publish its keys is worth another try.
        for attempt in 1...2 {
            let response = try await context.send(request, to: "the token service")
            if response.status == 200 { return try credentials(in: response, source: source) }
            let error = ErrorAnswer(response, isHead: false, isForObject: true)
            let passes = ["IDPCommunicationError", "InvalidIdentityToken"].contains(error.code)
            if passes, attempt == 1 { continue }
            throw CredentialError(
                "\(source): the token service says \(error.code): \(error.message)",
                isRetryable: passes
            )
        }
        throw CredentialError("\(source): the token service did not answer", isRetryable: true)
    }

    private func sign(
        _ request: inout HTTPRequest,
        _ endpoint: Endpoint,
        _ body: [UInt8],
        _ base: Credentials
    ) {
        let date = Signer.dateText(context.clock.now())
        var headers = request.headers.map { (name: $0.name, value: $0.value) }
        headers.append((name: "x-amz-date", value: date))
        if let token = base.sessionToken {
            headers.append((name: "x-amz-security-token", value: token))
        }
        let unsigned = UnsignedRequest(
            method: "POST",
            path: "/",
            headers: headers + [(name: "host", value: endpoint.authority)],
            payloadHash: Hex.string(Digest.sha256(body))
        )
        let signature = Signer(region: region, service: "sts").sign(
            unsigned,
            with: base,
            date: date
        )
        headers.append((name: "authorization", value: signature.authorization))
        request.headers = headers.map { HTTPHeader($0.name, $0.value) }
    }

    private func credentials(
        in response: HTTPResponse,
        source: String
    ) throws(CredentialError) -> Credentials {
        let root = try? XMLElement.parse(response.body)
        guard let result = root?.children.first(where: { $0.name.hasSuffix("Result") }),
            let found = result["Credentials"], let id = found.text("AccessKeyId"),
            let secret = found.text("SecretAccessKey"), let token = found.text("SessionToken")
        else { throw CredentialError("\(source): the token service's answer has no credentials") }
        return Credentials(
            accessKeyID: id,
            secretAccessKey: secret,
            sessionToken: token,
            expiration: found.text("Expiration").flatMap { Timestamp(rfc3339: $0) },
            source: source
        )
    }
}

/// Kubernetes' service account as a role (IRSA): `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`.
struct WebIdentityCredentials: CredentialProvider {
    let name = "web identity"
    let context: CredentialContext

    func load() async throws(CredentialError) -> Credentials? {
        guard let path = context.variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
            let role = context.variable("AWS_ROLE_ARN")
        else { return nil }
        return try await TokenService(context: context).assumeRole(
            role,
            session: context.variable("AWS_ROLE_SESSION_NAME"),
            webIdentityToken: try await context.files.webIdentityToken(path),
            source: "web identity (\(role))"
        )
    }
}

extension SharedFiles {
    /// The token in a file. It is read each time: the cluster replaces it.
    func webIdentityToken(_ path: String) async throws(CredentialError) -> String {
        guard let token = try await text(path), !token.isEmpty else {
            throw CredentialError("the web identity token file '\(path)' is missing or empty")
        }
        return String(token[...].trimmingBlanks)
    }
}
