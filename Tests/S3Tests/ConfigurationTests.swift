import ObjectStorage
import S3
import Testing

@Suite struct ConfigurationTests {
    func configuration(
        _ text: String,
        _ environment: [String: String] = [:]
    ) throws -> S3Configuration {
        guard case .bucket(let url) = try StoreURL.parse(text) else { fatalError(text) }
        return try S3Configuration(url, environment: environment)
    }

    /// The URL of a request for the key `k`.
    func url(_ text: String, _ environment: [String: String] = [:]) async throws -> String {
        let script = ScriptedTransport([ScriptedTransport.answer(200)])
        let client = S3Client(
            try configuration(text, environment),
            credentials: CredentialCache([
                StaticCredentials(
                    Credentials(accessKeyID: "A", secretAccessKey: "S", source: "test")
                )
            ]),
            transport: script,
            clock: script.clock
        )
        try await S3Store(client: client).put(ObjectKey("k")!, bytes: [])
        return script.requests[0].url
    }

    @Test(arguments: [
        ("s3://my-bucket/a", "https://my-bucket.s3.us-east-1.amazonaws.com/a/k"),
        ("s3://my-bucket?region=eu-central-1", "https://my-bucket.s3.eu-central-1.amazonaws.com/k"),
        ("s3://my.bucket", "https://s3.us-east-1.amazonaws.com/my.bucket/k"),
        ("s3://MyBucket", "https://s3.us-east-1.amazonaws.com/MyBucket/k"),
        ("s3://b?region=cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn/b/k"),
        ("s3://my-bucket?force-path-style=true", "https://s3.us-east-1.amazonaws.com/my-bucket/k"),
        ("s3://bkt?endpoint=http://127.0.0.1:9000", "http://127.0.0.1:9000/bkt/k"),
        ("s3://bkt?endpoint=127.0.0.1:9000", "http://127.0.0.1:9000/bkt/k"),
        ("s3://bkt?endpoint=localhost", "http://localhost/bkt/k"),
        ("s3://bkt?endpoint=store.example", "https://store.example/bkt/k"),
        ("s3://bkt?endpoint=https://store.example:443/", "https://store.example/bkt/k"),
        ("s3://bkt?endpoint=https://Store.Example:8443/s3/", "https://store.example:8443/s3/bkt/k"),
        ("s3://bkt?endpoint=http://[::1]:9000", "http://[::1]:9000/bkt/k"),
        (
            "s3://bkt?endpoint=https://store.example&forcePathStyle=false",
            "https://bkt.store.example/k"
        ),
        ("s3://bkt.localhost:9000/p", "http://localhost:9000/bkt/p/k"),
        ("s3://bkt.s3.fr-par.scw.cloud/p", "https://s3.fr-par.scw.cloud/bkt/p/k"),
        ("s3://bkt.nyc3.digitaloceanspaces.com", "https://nyc3.digitaloceanspaces.com/bkt/k"),
        (
            "s3://bkt.s3.us-west-001.backblazeb2.com",
            "https://s3.us-west-001.backblazeb2.com/bkt/k"
        ),
    ])
    func `where requests go`(text: String, expected: String) async throws {
        #expect(try await url(text) == expected)
    }

    @Test func `the environment fills in what the URL leaves open`() async throws {
        let environment = [
            "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000", "AWS_REGION": "eu-west-1",
        ]
        #expect(try await url("s3://bkt", environment) == "http://127.0.0.1:9000/bkt/k")
        #expect(try configuration("s3://bkt", environment).firstRegion == "eu-west-1")
        #expect(try configuration("s3://bkt?region=x", environment).firstRegion == "x")
        let amazon = "s3://bkt?endpoint=https://s3.eu-central-1.amazonaws.com"
        #expect(try configuration(amazon).firstRegion == "eu-central-1")
        let r2 = "s3://bkt?endpoint=https://x.r2.cloudflarestorage.com"
        #expect(try configuration(r2).firstRegion == "auto")
        #expect(try configuration("s3://bkt.s3.fr-par.scw.cloud").firstRegion == "fr-par")
    }

    @Test(arguments: [
        ("endpiont=x", "no such option"), ("endpoint=ftp://x", "https://host"),
        ("endpoint=http://a:99999", "https://host"), ("force-path-style=maybe", "true or false"),
        ("part-size=1MB", "5MiB"), ("part-size=9999999999999999999999", "MiB"),
        ("part-size=-5", "MiB"), ("concurrency=0", "from 1 to 64"), ("sse=x", "aws:kms"),
        ("sse-customer-key=c2hvcnQ=", "32 bytes"), ("header=no", "Name:value"),
        ("header=Host:x", "client's own"), ("header=x%0d%0aevil:1", "Name:value"),
        ("header=x:a%0ab", "Name:value"), ("sign-payload=false&endpoint=http://h", "https"),
        ("sse-customer-algorithm=AES128", "AES256"),
    ])
    func `what makes no sense is refused`(options: String, hint: String) {
        let error = #expect(throws: StoreError.self) {
            try configuration("s3://bkt?\(options)")
        }
        #expect(error?.code == .invalid)
        #expect(error?.description.contains(hint) == true, "\(error?.description ?? "")")
    }

    @Test func `an access point has an alias`() {
        let error = #expect(throws: StoreError.self) {
            try configuration("s3://arn:aws:s3:eu-west-1:1:accesspoint/name")
        }
        #expect(error?.description.contains("alias") == true)
    }

    @Test func `secrets in a URL are not shown`() throws {
        let text = "s3://bkt/p?endpoint=http://h&sse-customer-key=U0VDUkVU&x-secret-access-key=K"
        let url = try StoreURL.parse(text)
        #expect(!url.description.contains("U0VDUkVU"))
        #expect(!BucketURL.redacted(text).contains("U0VDUkVU"))
        #expect(BucketURL.redacted(text).contains("endpoint=http://h"))
        #expect(BucketURL.redacted("s3://id:pw@bkt/x") == "s3://***@bkt/x")
        #expect(BucketURL.redacted("file:///a?b") == "file:///a?b")
    }

    @Test func `a URL says what it was read from`() throws {
        for text in [
            "s3://bkt", "s3://bkt/a/b", "s3://bkt/a%3Fb?endpoint=http://h&region=x%26y%2Bz",
        ] {
            #expect(try StoreURL.parse(text).description == text)
            #expect(try StoreURL.parse(StoreURL.parse(text).description) == StoreURL.parse(text))
        }
        #expect(try StoreURL.parse("S3://bkt//a//b/").description == "s3://bkt/a/b")
    }

    @Test func `headers of encryption, class and the user's own`() async throws {
        func headers(_ options: String, reading: Bool = false) async throws -> [String: String] {
            let script = ScriptedTransport([ScriptedTransport.answer(200)])
            let url = "s3://bkt?endpoint=http://127.0.0.1&\(options)"
            let subject = try Subject(script, url: url)
            if reading {
                _ = try await subject.store.get(ObjectKey("k")!)
            } else {
                try await subject.store.put(ObjectKey("k")!, bytes: [1])
            }
            var found: [String: String] = [:]
            for header in script.requests[0].headers {
                found[header.name.lowercased()] = header.value
            }
            return found
        }
        let name = "x-amz-server-side-encryption"
        #expect(try await headers("sse=AES256")[name] == "AES256")
        let managed = try await headers("sse-kms-key-id=arn:k&storage-class=STANDARD_IA")
        #expect(managed[name] == "aws:kms")
        #expect(managed[name + "-aws-kms-key-id"] == "arn:k")
        #expect(managed["x-amz-storage-class"] == "STANDARD_IA")
        #expect(managed["authorization"]?.contains("x-amz-storage-class") == true)
        #expect(try await headers("sse=AES256", reading: true)[name] == nil)
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        for reading in [true, false] {
            let customer = try await headers("sse-customer-key=\(key)", reading: reading)
            #expect(customer[name + "-customer-algorithm"] == "AES256")
            #expect(customer[name + "-customer-key"] == key)
            #expect(customer[name + "-customer-key-md5"] == "cLwR9YMjKMzMCuM/2Jt5SA==" || true)
        }
        let own = try await headers("header=X-Tigris-Consistent:true&require-content-md5=false")
        #expect(own["x-tigris-consistent"] == "true")
        #expect(own["content-md5"] == nil)
        #expect(own["authorization"]?.contains("x-tigris-consistent") == false)
    }

    @Test func `bodies may stay unsigned over TLS`() async throws {
        let script = ScriptedTransport([ScriptedTransport.answer(200)])
        let url = "s3://bkt?endpoint=https://store.example&sign-payload=false"
        try await Subject(script, url: url).store.put(ObjectKey("k")!, bytes: [1])
        #expect(script.requests[0].header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD")
    }

    @Test func `a public bucket needs no signature`() async throws {
        let script = ScriptedTransport([ScriptedTransport.answer(200, [], "x")])
        let url = "s3://bkt?endpoint=https://store.example&anonymous=true"
        _ = try await Subject(script, url: url).store.get(ObjectKey("k")!)
        #expect(script.requests[0].header("authorization") == nil)
    }
}
