import Bytes
import HTTPTransport

/// The role of an EC2 instance, from its metadata service, version 2.
struct InstanceCredentials: CredentialProvider {
    let name = "instance metadata"
    let context: CredentialContext

    func load() async throws(CredentialError) -> Credentials? {
        guard context.variable("AWS_EC2_METADATA_DISABLED")?.lowercased() != "true" else {
            return nil
        }
        let token: String?
        switch try await fetchToken() {
        case .absent: return nil
        case .token(let text): token = text
        case .onlyVersion1: token = nil
        }
        let folder = "/latest/meta-data/iam/security-credentials/"
        guard let list = try await get(folder, token),
            let role = list.split(whereSeparator: \.isNewline).first
        else {
            throw CredentialError("this instance has no role; attach one, or set keys")
        }
        guard let text = try await get(folder + URIEncoding.encode(String(role)), token) else {
            throw CredentialError("the instance's role \(role) has no credentials yet")
        }
        let document = try CredentialDocument(
            parsing: Array(text.utf8),
            from: "the instance's metadata service"
        )
        return try document.credentials(source: "instance role \(role)")
    }

    private enum Token { case absent, onlyVersion1, token(String) }

    private var base: String {
        let named = context.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").flatMap { Endpoint($0) }
        if let named { return named.description }
        let mode = context.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")?.lowercased()
        return mode == "ipv6" ? "http://[fd00:ec2::254]" : "http://169.254.169.254"
    }

    private func request(_ method: HTTPRequest.Method, _ path: String) -> HTTPRequest {
        var request = HTTPRequest(method, url: base + path, responseLimit: Limits.credentialBytes)
        // Nobody is there on other machines, and that must not take long.
        request.options.connectMilliseconds = 1000
        request.options.totalMilliseconds = 2000
        request.options.proxy = .none
        return request
    }

    private func fetchToken() async throws(CredentialError) -> Token {
        var request = request(.put, "/latest/api/token")
        request.headers = [HTTPHeader("x-aws-ec2-metadata-token-ttl-seconds", "21600")]
        let response: HTTPResponse
        do {
            response = try await context.transport.send(request)
        } catch {
            switch error.code {
            case .unconnected, .unresolved: return .absent
            case .timedOut where !error.mayHaveArrived: return .absent
            case .timedOut:
                // The packets' hop limit is 1 on many instances, too few for a container.
                throw CredentialError(
                    "the instance's metadata service does not answer; in a container raise"
                        + " the instance's metadata hop limit to 2",
                    isRetryable: true
                )
            default: return .absent
            }
        }
        if response.status == 200 {
            return .token(String(decoding: response.body, as: UTF8.self))
        }
        let mayFallBack = context.variable("AWS_EC2_METADATA_V1_DISABLED")?.lowercased() != "true"
        if [403, 404, 405].contains(response.status), mayFallBack { return .onlyVersion1 }
        throw CredentialError(
            "the instance's metadata service answered \(response.status)",
            isRetryable: response.status >= 500
        )
    }

    private func get(
        _ path: String,
        _ token: String?
    ) async throws(CredentialError) -> String? {
        var request = request(.get, path)
        if let token { request.headers = [HTTPHeader("x-aws-ec2-metadata-token", token)] }
        let response = try await context.send(
            request,
            attempts: 2,
            to: "the instance's metadata service"
        )
        if response.status == 404 { return nil }
        guard response.status == 200 else {
            throw CredentialError(
                "the instance's metadata service answered \(response.status) to \(path)"
            )
        }
        return String(decoding: response.body, as: UTF8.self)
    }
}
