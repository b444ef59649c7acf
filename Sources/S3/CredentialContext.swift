package import HTTPTransport

/// What providers of credentials need: the environment, the shared files, and a way out.
package struct CredentialContext: Sendable {
    /// The environment's variables.
    package let environment: [String: String]
    /// The shared files.
    package let files: SharedFiles
    /// The profile that the user chose, if one.
    package let profile: String?
    /// The region for requests to the token service.
    package let region: String
    let transport: any HTTPSending
    let clock: ClientClock

    /// A context.
    package init(
        environment: [String: String],
        files: SharedFiles,
        profile: String?,
        region: String,
        transport: any HTTPSending = HTTPTransport.shared,
        clock: ClientClock = .system
    ) {
        self.environment = environment
        self.files = files
        self.profile = profile
        self.region = region == "auto" ? "us-east-1" : region
        self.transport = transport
        self.clock = clock
    }

    /// A variable that is set and not empty.
    func variable(_ name: String) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The order in which credentials are looked for. docs/S3.md gives the reasons.
    package var chain: [any CredentialProvider] {
        let environmental: [any CredentialProvider] = [
            EnvironmentCredentials(environment), WebIdentityCredentials(context: self),
        ]
        let rest: [any CredentialProvider] = [
            ProfileCredentials(context: self), ContainerCredentials(context: self),
            InstanceCredentials(context: self),
        ]
        // A profile that was chosen in so many words comes before what happens to be there.
        return profile == nil ? environmental + rest : rest.prefix(1) + environmental + rest[1...]
    }

    /// Sends a request and tries again twice when the service does not answer well.
    func send(
        _ request: HTTPRequest,
        attempts: Int = 3,
        to service: String
    ) async throws(CredentialError) -> HTTPResponse {
        var attempt = 1
        while true {
            var problem: String
            do {
                let response = try await transport.send(request)
                guard response.status >= 500 || response.status == 429 else { return response }
                problem = "it answered \(response.status)"
            } catch {
                problem = error.message
                if !error.isRetryable { attempt = attempts }
            }
            guard attempt < attempts else {
                throw CredentialError("\(service): \(problem)", isRetryable: true)
            }
            let policy = RetryPolicy.interactive
            let pause = policy.pause(after: attempt, throttled: false, random: clock.random())
            do {
                try await clock.sleep(pause)
            } catch {
                throw CredentialError("\(service): cancelled", isRetryable: true)
            }
            attempt += 1
        }
    }
}
