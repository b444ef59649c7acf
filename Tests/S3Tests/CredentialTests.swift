import Bytes
import Glibc
import HTTPTransport
import ObjectStorage
import Platform
import S3
import Synchronization
import TestSupport
import Testing

private let executor = ThreadExecutor(threads: 4)

/// A home folder with the shared files, and an environment that names nothing else.
struct CredentialWorld {
    let folder = TemporaryFolder()
    var environment: [String: String]
    let lines = Lines()

    final class Lines: Sendable {
        let all = Mutex<[String]>([])
        var log: StoreLog {
            { [self] level, message, values in
                let pairs = values.map { " \($0.0)=\($0.1)" }.joined()
                all.withLock { $0.append("\(level) \(message)\(pairs)") }
            }
        }
    }

    init(_ environment: [String: String] = [:]) {
        let home = folder.path
        self.environment = environment.merging(
            ["HOME": home, "AWS_EC2_METADATA_DISABLED": "true"]
        ) { mine, _ in mine }
    }

    func write(_ name: String, _ text: String, mode: UInt32 = 0o600) throws {
        let parts = name.split(separator: "/").dropLast()
        for count in parts.indices {
            try FileSystem.makeFolder(folder.file(parts[...count].joined(separator: "/")))
        }
        let file = try FileDescriptor(
            path: folder.file(name),
            flags: O_WRONLY | O_CREAT | O_TRUNC,
            mode: mode
        )
        try file.write(Array(text.utf8), at: 0)
    }

    func context(profile: String? = nil) -> CredentialContext {
        CredentialContext(
            environment: environment,
            files: SharedFiles(environment: environment, executor: executor, log: lines.log),
            profile: profile,
            region: "eu-west-1"
        )
    }

    /// What the chain finds.
    func load(profile: String? = nil) async throws -> Credentials {
        for provider in context(profile: profile).chain {
            if let found = try await provider.load() { return found }
        }
        throw CredentialError("nothing found")
    }
}

@Suite struct CredentialTests {
    @Test func `the environment, in Amazon's and Litestream's names`() async throws {
        var world = CredentialWorld([
            "LITESTREAM_ACCESS_KEY_ID": "L", "LITESTREAM_SECRET_ACCESS_KEY": "LS",
        ])
        #expect(try await world.load().accessKeyID == "L")
        world.environment["AWS_ACCESS_KEY_ID"] = "A"
        await #expect(throws: CredentialError.self) { try await world.load() }
        world.environment["AWS_SECRET_ACCESS_KEY"] = "AS"
        world.environment["AWS_SESSION_TOKEN"] = "T"
        let found = try await world.load()
        #expect(found.accessKeyID == "A")
        #expect(found.sessionToken == "T")
        #expect(!"\(found)".contains("AS"))
    }

    @Test func `profiles of both files, with comments and nested settings`() async throws {
        let world = CredentialWorld(["AWS_PROFILE": "work"])
        try world.write(
            ".aws/config",
            """
            # a comment
            [default]
            region = eu-west-1
            [profile work]   ; another
            s3 =
              addressing_style = path
              aws_access_key_id = nested
            aws_access_key_id = FROM_CONFIG
            aws_secret_access_key = c  # not the secret
            """
        )
        #expect(try await world.load().accessKeyID == "FROM_CONFIG")
        #expect(try await world.load().secretAccessKey == "c")
        try world.write(
            ".aws/credentials",
            "[work]\naws_access_key_id=FROM_CREDENTIALS\naws_secret_access_key=a#b=\n",
            mode: 0o644
        )
        let found = try await world.load()
        #expect(found.accessKeyID == "FROM_CREDENTIALS")
        #expect(found.secretAccessKey == "a#b=")
        #expect(world.lines.all.withLock { $0 }.contains { $0.contains("chmod 600") })
        let error = await #expect(throws: CredentialError.self) {
            try await world.load(profile: "none")
        }
        #expect(error?.description.contains("'none'") == true)
    }

    @Test func `a chosen profile comes before the environment`() async throws {
        let world = CredentialWorld(["AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "S"])
        try world.write(".aws/credentials", "[p]\naws_access_key_id=P\naws_secret_access_key=x\n")
        #expect(try await world.load().accessKeyID == "E")
        #expect(try await world.load(profile: "p").accessKeyID == "P")
    }

    @Test func `a program that prints credentials, without a shell`() async throws {
        let world = CredentialWorld(["AWS_PROFILE": "p"])
        try world.write(
            "print.sh",
            "#!/bin/sh\nprintf '{\"Version\":1,\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"s\","
                + "\"SessionToken\":\"t\",\"Expiration\":\"2030-01-01T00:00:00Z\"}' \"$1\"\n",
            mode: 0o700
        )
        let path = world.folder.file("print.sh")
        try world.write(".aws/config", "[profile p]\ncredential_process = \(path) \"a b;$HOME\"\n")
        let found = try await world.load()
        #expect(found.accessKeyID == "a b;$HOME")
        #expect(found.expiration?.description == "2030-01-01T00:00:00.000Z")
        for (command, message) in [
            ("/bin/false", "ended with 1"), ("/bin/echo secret", "JSON"),
            ("/nowhere/at/all", "posix_spawnp"),
            ("/bin/echo {\\\"Version\\\":2,\\\"AccessKeyId\\\":\\\"a\\\"}", "Version"),
        ] {
            try world.write(".aws/config", "[profile p]\ncredential_process = \(command)\n")
            let error = await #expect(throws: CredentialError.self) { try await world.load() }
            #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
            #expect(error?.description.contains("secret") == false)
        }
    }

    static let token = """
        <AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
        <Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
        <SessionToken>t</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration></Credentials>
        </AssumeRoleResult></AssumeRoleResponse>
        """

    @Test func `a web identity is exchanged for a role, and its file read each time`()
        async throws
    {
        let calls = Mutex(0)
        let server = try LoopbackServer { _ in
            let isFirst = calls.withLock { count in
                count += 1
                return count == 1
            }
            let refusal =
                "<ErrorResponse><Error><Code>IDPCommunicationError</Code></Error>"
                + "</ErrorResponse>"
            return isFirst
                ? LoopbackServer.Answer(400, text: refusal)
                : LoopbackServer.Answer(200, text: Self.token)
        }
        var world = CredentialWorld([
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_ENDPOINT_URL_STS": server.origin,
        ])
        world.environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = world.folder.file("token")
        await #expect(throws: CredentialError.self) { try await world.load() }
        try world.write("token", "first+/=\n")
        #expect(try await world.load().accessKeyID == "ASIA")
        try world.write("token", "second")
        _ = try await world.load()
        let bodies = server.requests.map { String(decoding: $0.body, as: UTF8.self) }
        #expect(bodies.count == 3)
        #expect(bodies[1].contains("WebIdentityToken=first%2B%2F%3D&Version"))
        #expect(bodies[2].contains("WebIdentityToken=second&"))
        #expect(bodies[2].contains("Action=AssumeRoleWithWebIdentity"))
        #expect(server.requests.allSatisfy { $0.header("authorization") == nil })
    }

    @Test func `a role on top of another profile`() async throws {
        let server = try LoopbackServer { _ in LoopbackServer.Answer(200, text: Self.token) }
        let world = CredentialWorld(["AWS_ENDPOINT_URL_STS": server.origin])
        try world.write(
            ".aws/config",
            """
            [profile role]
            role_arn = arn:aws:iam::1:role/r
            source_profile = base
            external_id = e&x
            [profile base]
            aws_access_key_id = BASE
            aws_secret_access_key = s
            [profile loop]
            role_arn = a
            source_profile = loop2
            [profile loop2]
            role_arn = b
            source_profile = loop
            """
        )
        #expect(try await world.load(profile: "role").sessionToken == "t")
        let request = try #require(server.requests.last)
        #expect(request.header("authorization")?.contains("Credential=BASE/") == true)
        #expect(request.header("authorization")?.contains("/eu-west-1/sts/aws4_request") == true)
        #expect(String(decoding: request.body, as: UTF8.self).contains("ExternalId=e%26x"))
        await #expect(throws: CredentialError.self) { try await world.load(profile: "loop") }
    }

    @Test func `containers, with a token from a file`() async throws {
        let server = try LoopbackServer { request in
            guard request.header("authorization") == "Bearer x" else {
                return LoopbackServer.Answer(401)
            }
            return LoopbackServer.Answer(
                200,
                text: "{\"AccessKeyId\":\"C\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
                    + "\"Expiration\":\"2030-01-01T00:00:00Z\"}"
            )
        }
        var world = CredentialWorld([
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": server.origin + "/v1/credentials"
        ])
        await #expect(throws: CredentialError.self) { try await world.load() }
        try world.write("token", "Bearer x\n")
        world.environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = world.folder.file("token")
        let found = try await world.load()
        #expect(found.accessKeyID == "C")
        #expect(found.sessionToken == "t")
    }

    @Test(arguments: [
        "http://example.com/", "http://169.254.169.254/", "http://127.0.0.1.evil.example/",
        "http://127.0.0.1@evil.example/", "ftp://127.0.0.1/", "127.0.0.1", "http://10.0.0.1/",
    ])
    func `a container's token goes to nobody else`(url: String) async throws {
        let world = CredentialWorld(["AWS_CONTAINER_CREDENTIALS_FULL_URI": url])
        let error = await #expect(throws: CredentialError.self) { try await world.load() }
        #expect(error?.description.contains("neither https") == true)
    }

    @Test func `an instance's role, in both versions of the service`() async throws {
        for hasVersion2 in [true, false] {
            let server = try LoopbackServer { request in
                let isAllowed = request.header("x-aws-ec2-metadata-token") == "TOKEN"
                switch (request.method, request.target) {
                case ("PUT", "/latest/api/token"):
                    return LoopbackServer.Answer(hasVersion2 ? 200 : 404, text: "TOKEN")
                case _ where hasVersion2 && !isAllowed: return LoopbackServer.Answer(401)
                case ("GET", "/latest/meta-data/iam/security-credentials/"):
                    return LoopbackServer.Answer(200, text: "my-role\n")
                case ("GET", "/latest/meta-data/iam/security-credentials/my-role"):
                    return LoopbackServer.Answer(
                        200,
                        text: "{\"Code\":\"Success\",\"AccessKeyId\":\"I\",\"SecretAccessKey\":"
                            + "\"s\",\"Token\":\"t\",\"Expiration\":\"2030-01-01T00:00:00Z\"}"
                    )
                default: return LoopbackServer.Answer(404)
                }
            }
            var world = CredentialWorld()
            world.environment["AWS_EC2_METADATA_DISABLED"] = nil
            world.environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = server.origin
            #expect(try await world.load().source == "instance role my-role")
            #expect(server.requests[0].header("x-aws-ec2-metadata-token-ttl-seconds") == "21600")
            guard !hasVersion2 else { continue }
            world.environment["AWS_EC2_METADATA_V1_DISABLED"] = "true"
            await #expect(throws: CredentialError.self) { try await world.load() }
        }
    }

    @Test func `nothing anywhere says where it was looked for`() async throws {
        let world = CredentialWorld()
        let cache = CredentialCache(world.context().chain)
        let script = ScriptedTransport()
        let subject = try Subject(script, credentials: cache)
        let error = await #expect(throws: StoreError.self) {
            try await subject.store.list(prefix: "")
        }
        #expect(error?.code == .accessDenied)
        #expect(
            error?.description.contains("environment, web identity, profile, container") == true
        )
        #expect(script.requests.isEmpty)
    }
}

@Suite struct CredentialCacheTests {
    /// Hands out numbered credentials that live for a while, and counts.
    final class Counting: CredentialProvider {
        let name = "counting"
        let loads = Mutex(0)
        let fails = Mutex(false)
        let clock: ClientClock
        let lifeMilliseconds: Int64

        init(_ clock: ClientClock, life: Int64) {
            self.clock = clock
            lifeMilliseconds = life
        }

        func load() async throws(CredentialError) -> Credentials? {
            let number = loads.withLock { count in
                count += 1
                return count
            }
            if fails.withLock({ $0 }) { throw CredentialError("down", isRetryable: true) }
            return Credentials(
                accessKeyID: "K\(number)",
                secretAccessKey: "secret\(number)",
                expiration: Timestamp(milliseconds: clock.now().milliseconds + lifeMilliseconds),
                source: "counting"
            )
        }
    }

    func world(life: Int64) throws -> (ScriptedTransport, Counting, Subject) {
        let script = ScriptedTransport(then: ScriptedTransport.answer(200))
        let provider = Counting(script.clock, life: life)
        let cache = CredentialCache([provider], clock: script.clock, log: script.log)
        return (script, provider, try Subject(script, credentials: cache))
    }

    let key = ObjectKey("k")!

    func advance(_ script: ScriptedTransport, _ milliseconds: Int64) {
        script.now = Timestamp(milliseconds: script.now.milliseconds + milliseconds)
    }

    @Test func `many requests at once load once`() async throws {
        let (script, provider, subject) = try world(life: 3_600_000)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask { try await subject.store.put(key, bytes: [1]) }
            }
            try await group.waitForAll()
        }
        #expect(provider.loads.withLock { $0 } == 1)
        #expect(script.lines.count { $0.contains("access_key_id=K1") } == 1)
        #expect(!script.lines.contains { $0.contains("secret1") })
    }

    @Test func `they are renewed before they end, and kept while that fails`() async throws {
        let (script, provider, subject) = try world(life: 3_600_000)
        try await subject.store.put(key, bytes: [1])
        advance(script, 2_000_000)
        try await subject.store.put(key, bytes: [1])
        #expect(provider.loads.withLock { $0 } == 1)
        // 10 minutes before the end.
        advance(script, 1_000_000)
        provider.fails.withLock { $0 = true }
        try await subject.store.put(key, bytes: [1])
        try await subject.store.put(key, bytes: [1])
        #expect(provider.loads.withLock { $0 } == 2)
        #expect(script.requests.last?.header("authorization")?.contains("=K1/") == true)
        provider.fails.withLock { $0 = false }
        advance(script, 31_000)
        try await subject.store.put(key, bytes: [1])
        #expect(script.requests.last?.header("authorization")?.contains("=K3/") == true)
        // After the end nothing old is used.
        advance(script, 4_000_000)
        provider.fails.withLock { $0 = true }
        await #expect(throws: StoreError.self) { try await subject.store.put(key, bytes: [1]) }
    }

    @Test func `short-lived ones are not fetched for every request`() async throws {
        let (_, provider, subject) = try world(life: 300_000)
        for _ in 0..<10 { try await subject.store.put(key, bytes: [1]) }
        #expect(provider.loads.withLock { $0 } == 1)
    }

    @Test func `a store that calls them expired gets others, once`() async throws {
        let script = ScriptedTransport([
            ScriptedTransport.error(400, "ExpiredToken"), ScriptedTransport.answer(200),
        ])
        let provider = Counting(script.clock, life: 3_600_000)
        let cache = CredentialCache([provider], clock: script.clock)
        let subject = try Subject(script, credentials: cache)
        try await subject.store.put(key, bytes: [1])
        #expect(script.requests.last?.header("authorization")?.contains("=K2/") == true)
        // The same ones again are no others.
        let fixed = try Subject(ScriptedTransport([ScriptedTransport.error(400, "ExpiredToken")]))
        let error = await #expect(throws: StoreError.self) {
            try await fixed.store.put(key, bytes: [1])
        }
        #expect(error?.code == .accessDenied)
        #expect(fixed.transport.requests.count == 1)
    }
}
