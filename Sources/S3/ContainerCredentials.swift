import HTTPTransport

/// What ECS tasks and EKS pods are given: `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, or
/// `AWS_CONTAINER_CREDENTIALS_FULL_URI` with a token.
struct ContainerCredentials: CredentialProvider {
    let name = "container"
    let context: CredentialContext

    func load() async throws(CredentialError) -> Credentials? {
        let url: String
        if let path = context.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            guard path.hasPrefix("/") else {
                throw CredentialError("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI begins with no '/'")
            }
            url = "http://169.254.170.2" + path
        } else if let full = context.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            try Self.check(full)
            url = full
        } else {
            return nil
        }
        var request = HTTPRequest(.get, url: url, responseLimit: Limits.credentialBytes)
        request.options.connectMilliseconds = 2000
        request.options.totalMilliseconds = 5000
        request.options.proxy = .none
        if let token = try await token() {
            guard token.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
                throw CredentialError("the container's authorization token has line ends in it")
            }
            request.headers = [HTTPHeader("authorization", token)]
        }
        let response = try await context.send(request, to: "the container's credentials service")
        guard response.status == 200 else {
            throw CredentialError(
                "the container's credentials service answered \(response.status); check the"
                    + " role of the task or pod"
            )
        }
        let service = "the container's credentials service"
        return try CredentialDocument(parsing: response.body, from: service)
            .credentials(source: "container")
    }

    /// The token, read anew each time from its file: it is replaced there.
    private func token() async throws(CredentialError) -> String? {
        if let path = context.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            guard let text = try await context.files.text(path) else {
                throw CredentialError("the token file '\(path)' does not exist")
            }
            return String(text[...].trimmingBlanks)
        }
        return context.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    }

    /// The token goes there, so it has to be TLS, this machine, or ECS's and EKS's own addresses.
    static func check(_ url: String) throws(CredentialError) {
        let scheme = url.firstRange(of: "://")
        let end = scheme.flatMap { found in
            url[found.upperBound...].firstIndex { "/?#".contains($0) }
        }
        let origin = String(url[..<(end ?? url.endIndex)])
        let own = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"]
        guard scheme != nil, let endpoint = Endpoint(origin), !origin.contains("@"),
            endpoint.isSecure || endpoint.isLoopback || own.contains(endpoint.host)
        else {
            throw CredentialError(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this"
                    + " machine, of ECS or of EKS"
            )
        }
    }
}
