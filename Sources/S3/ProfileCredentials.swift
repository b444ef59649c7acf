import Bytes
import Digests
import HTTPTransport
import Platform

/// A profile of the shared files: keys, a role, a program that knows, or single sign-on.
struct ProfileCredentials: CredentialProvider {
    let name = "profile"
    let context: CredentialContext

    func load() async throws(CredentialError) -> Credentials? {
        let chosen = context.profile ?? context.variable("AWS_PROFILE")
        let profile = chosen ?? "default"
        let profiles = try await context.files.read()
        guard profiles.settings(profile) != nil else {
            if chosen == nil { return nil }
            throw CredentialError(
                "there is no profile '\(profile)' in '\(context.files.configurationPath)' or"
                    + " '\(context.files.credentialsPath)'"
            )
        }
        return try await credentials(of: profile, in: profiles, visited: [])
    }

    private func credentials(
        of profile: String,
        in profiles: ProfileSet,
        visited: Set<String>
    ) async throws(CredentialError) -> Credentials? {
        guard let settings = profiles.settings(profile) else {
            throw CredentialError("there is no profile '\(profile)', which another one names")
        }
        let source = "profile \(profile)"
        if let role = settings["role_arn"], !visited.contains(profile) {
            return try await assume(role, profile, settings, profiles, visited)
        }
        if let id = settings["aws_access_key_id"], let secret = settings["aws_secret_access_key"] {
            return Credentials(
                accessKeyID: id,
                secretAccessKey: secret,
                sessionToken: settings["aws_session_token"],
                source: source
            )
        }
        if settings["sso_account_id"] != nil {
            return try await SingleSignOn(context: context, profile: profile).credentials(
                settings,
                profiles
            )
        }
        if let command = settings["credential_process"] {
            return try await run(command, source: "credential_process of \(source)")
        }
        return nil
    }

    private func assume(
        _ role: String,
        _ profile: String,
        _ settings: [String: String],
        _ profiles: ProfileSet,
        _ visited: Set<String>
    ) async throws(CredentialError) -> Credentials {
        let source = "role \(role) of profile \(profile)"
        let service = TokenService(context: context, region: settings["region"])
        if let path = settings["web_identity_token_file"] {
            return try await service.assumeRole(
                role,
                session: settings["role_session_name"],
                webIdentityToken: try await context.files.webIdentityToken(path),
                source: source
            )
        }
        let base: Credentials?
        if let other = settings["source_profile"] {
            guard visited.count < 8 else {
                throw CredentialError("the profiles of '\(profile)' go in circles")
            }
            base = try await credentials(
                of: other,
                in: profiles,
                visited: visited.union([profile])
            )
        } else {
            base = try await named(settings["credential_source"], profile)
        }
        guard let base else { throw CredentialError("\(source): there is nobody to take it on") }
        return try await service.assumeRole(
            role,
            session: settings["role_session_name"],
            externalID: settings["external_id"],
            seconds: settings["duration_seconds"],
            as: base,
            source: source
        )
    }

    private func named(
        _ source: String?,
        _ profile: String
    ) async throws(CredentialError) -> Credentials? {
        switch source {
        case "Environment": try await EnvironmentCredentials(context.environment).load()
        case "EcsContainer": try await ContainerCredentials(context: context).load()
        case "Ec2InstanceMetadata": try await InstanceCredentials(context: context).load()
        default:
            throw CredentialError(
                "profile '\(profile)' has a role_arn, but neither source_profile nor a"
                    + " credential_source of Environment, EcsContainer or Ec2InstanceMetadata"
            )
        }
    }

    // MARK: - A program that knows

    private func run(
        _ command: String,
        source: String
    ) async throws(CredentialError) -> Credentials {
        let words = Self.words(command)
        guard !words.isEmpty else { throw CredentialError("\(source) is empty") }
        let outcome: ChildProcess.Outcome
        do {
            outcome = try await context.files.run {
                try ChildProcess.run(
                    words,
                    timeoutMilliseconds: 60_000,
                    limit: Limits.credentialBytes
                )
            }
        } catch {
            throw CredentialError("\(source) failed: \(error)", isRetryable: true)
        }
        guard outcome.exitCode == 0 else {
            throw CredentialError("\(source) ended with \(outcome.exitCode)", isRetryable: true)
        }
        let document = try CredentialDocument(parsing: outcome.output, from: source)
        guard document.version == 1 else {
            throw CredentialError("\(source) printed a Version other than 1")
        }
        return try document.credentials(source: source)
    }

    /// The words of a command line: blanks separate them, quotes keep them together. No shell, so
    /// nothing else has a meaning.
    static func words(_ command: String) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var isEscaped = false
        for character in command {
            if isEscaped {
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + "\(character)" }
            } else if character == "\"" || character == "'" {
                quote = character
                word = word ?? ""
            } else if character.isWhitespace {
                if let complete = word { words.append(complete) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if let word { words.append(word) }
        return words
    }
}

/// Single sign-on with the token that `aws sso login` has left. We never log in ourselves.
struct SingleSignOn {
    let context: CredentialContext
    let profile: String

    func credentials(
        _ settings: [String: String],
        _ profiles: ProfileSet
    ) async throws(CredentialError) -> Credentials {
        let session = settings["sso_session"]
        let start = session.flatMap { profiles.session($0) } ?? settings
        guard let account = settings["sso_account_id"], let role = settings["sso_role_name"],
            let region = start["sso_region"], let url = start["sso_start_url"]
        else { throw CredentialError("profile '\(profile)' has sso settings that are not whole") }
        let name = (try? Digest.digest(.sha1, [Array((session ?? url).utf8)])) ?? []
        let path = "\(context.files.home)/.aws/sso/cache/\(Hex.string(name)).json"
        let login = "run 'aws sso login --profile \(profile)' as this user"
        guard let text = try await context.files.text(path),
            let token = SingleSignOnToken(parsing: Array(text.utf8)),
            let end = Timestamp(rfc3339: token.expiresAt), end > context.clock.now()
        else {
            throw CredentialError("the sso session of profile '\(profile)' is over; \(login)")
        }
        let named = context.variable("AWS_ENDPOINT_URL_SSO").flatMap { Endpoint($0) }
        let endpoint = named ?? Endpoint(host: "portal.sso.\(region).amazonaws.com")
        let query =
            "account_id=\(URIEncoding.encode(account))&role_name=\(URIEncoding.encode(role))"
        var request = HTTPRequest(
            .get,
            url: "\(endpoint.origin)/federation/credentials?\(query)",
            responseLimit: Limits.credentialBytes
        )
        request.headers = [HTTPHeader("x-amz-sso_bearer_token", token.accessToken)]
        request.options.totalMilliseconds = 20_000
        let response = try await context.send(request, to: "single sign-on")
        guard response.status == 200, let answer = SingleSignOnAnswer(parsing: response.body) else {
            throw CredentialError("single sign-on answered \(response.status); \(login)")
        }
        return Credentials(
            accessKeyID: answer.roleCredentials.accessKeyId,
            secretAccessKey: answer.roleCredentials.secretAccessKey,
            sessionToken: answer.roleCredentials.sessionToken,
            expiration: Timestamp(milliseconds: answer.roleCredentials.expiration),
            source: "sso of profile \(profile)"
        )
    }
}
