import S3
import Testing

/// The examples of "Signature Calculations for the Authorization Header" in the documentation of
/// Amazon S3.
@Suite struct PublishedExampleTests {
    static let date = "20130524T000000Z"
    static let emptyHash = Digester.hex("")

    let credentials = Credentials(
        accessKeyID: "AKIAIOSFODNN7EXAMPLE",
        secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        source: "test"
    )

    func signature(
        _ method: String,
        _ path: String,
        query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [],
        body: String = ""
    ) -> String {
        let hash = Digester.hex(body)
        let all =
            headers + [
                (name: "host", value: "examplebucket.s3.amazonaws.com"),
                (name: "x-amz-content-sha256", value: hash),
                (name: "x-amz-date", value: Self.date),
            ]
        let request = UnsignedRequest(
            method: method,
            path: path,
            query: query,
            headers: all,
            payloadHash: hash
        )
        let signed = Signer(region: "us-east-1").sign(request, with: credentials, date: Self.date)
        return String(signed.authorization.suffix(64))
    }

    @Test func `get an object`() {
        #expect(
            signature("GET", "/test.txt", headers: [(name: "Range", value: "bytes=0-9")])
                == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        )
    }

    @Test func `put an object`() {
        let headers = [
            (name: "Date", value: "Fri, 24 May 2013 00:00:00 GMT"),
            (name: "x-amz-storage-class", value: "REDUCED_REDUNDANCY"),
        ]
        #expect(
            signature("PUT", "/test$file.text", headers: headers, body: "Welcome to Amazon S3.")
                == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        )
    }

    @Test func `get a bucket's lifecycle`() {
        #expect(
            signature("GET", "/", query: [(name: "lifecycle", value: "")])
                == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        )
    }

    @Test func `list a bucket`() {
        let query = [(name: "prefix", value: "J"), (name: "max-keys", value: "2")]
        #expect(
            signature("GET", "/", query: query)
                == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        )
    }

    @Test(arguments: [
        ("/a b", "/a%20b"), ("/a+b=*:c", "/a%2Bb%3D%2A%3Ac"), ("/100%", "/100%25"),
        ("/a//b/../c/.", "/a//b/../c/."), ("/é/日本", "/%C3%A9/%E6%97%A5%E6%9C%AC"),
        ("/a%20b", "/a%2520b"), ("/~-._", "/~-._"), ("/a?b#c&d", "/a%3Fb%23c%26d"),
        ("/😀", "/%F0%9F%98%80"), ("/'(),;@[]", "/%27%28%29%2C%3B%40%5B%5D"),
    ])
    func `paths are encoded once and left as they are`(path: String, encoded: String) {
        let request = UnsignedRequest(method: "GET", path: path, headers: [], payloadHash: "")
        #expect(request.encodedPath == encoded)
    }

    @Test func `queries are sorted by their encoded names and values`() {
        let request = UnsignedRequest(
            method: "GET",
            path: "/",
            query: [
                (name: "prefix", value: "a/b c+d"), (name: "uploads", value: ""),
                (name: "a", value: "2"), (name: "a", value: "1"), (name: "é", value: "="),
                (name: "A", value: ""), (name: "a-b", value: ""),
            ],
            headers: [],
            payloadHash: ""
        )
        #expect(
            request.encodedQuery
                == "%C3%A9=%3D&A=&a=1&a=2&a-b=&prefix=a%2Fb%20c%2Bd&uploads="
        )
    }

    @Test func `the key of one day is not used on the next`() {
        let signer = Signer(region: "us-east-1")
        func sign(_ date: String, _ secret: String) -> String {
            let request = UnsignedRequest(
                method: "GET",
                path: "/",
                headers: [(name: "host", value: "h")],
                payloadHash: Self.emptyHash
            )
            let credentials = Credentials(
                accessKeyID: "A",
                secretAccessKey: secret,
                source: "test"
            )
            return signer.sign(request, with: credentials, date: date).authorization
        }
        let first = sign("20240101T235959Z", "s")
        #expect(sign("20240102T000000Z", "s") != first)
        #expect(sign("20240101T235959Z", "t") != first)
        #expect(sign("20240101T235959Z", "s") == first)
    }
}
