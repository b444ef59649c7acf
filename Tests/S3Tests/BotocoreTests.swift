import Bytes
import Foundation
import Platform
import TestSupport
import Testing

@testable import S3

/// Our signatures against botocore's, for requests that are hard to sign.
@Suite struct BotocoreTests {
    /// How many requests are compared.
    static let count = 4000

    /// A request as check_signatures.py reads it.
    struct Sample: Encodable {
        var method: String
        var path: String
        var query: [[String]]
        var headers: [[String]]
        var payloadHash: String
        var date: String
        var region: String
        var accessKey: String
        var secretKey: String
        var token: String?
        var url: String
        var authorization: String
    }

    @Test func `thousands of random requests are signed as botocore signs them`() async throws {
        guard let python = PythonProgram.withBoto else {
            print("skipped: no botocore; Tests/S3Servers/servers.py python installs it")
            return
        }
        var random = SplitMix(state: 20_261_125)
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        var lines = ""
        for _ in 0..<Self.count {
            let sample = Self.sample(&random)
            lines += String(decoding: try encoder.encode(sample), as: UTF8.self) + "\n"
        }
        let program = StrictServer.folder.appending(path: "check_signatures.py").path
        let input = lines
        let outcome = try await ThreadExecutor(threads: 1).run {
            try PythonProgram.run(python, program, input: input)
        }
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(outcome.output == "\(Self.count) signatures agree with botocore's\n")
    }

    /// What keys and values are made of: everything that is encoded in some place or other.
    static let atoms: [String] = {
        var atoms: [String] = [
            " ", "+", "%", "%20", "%2F", "/", "//", ".", "..", "/../", "/./", "*", "~", "-", "_",
            "=", "&", "?", "#", ":", ";", ",", "@", "!", "$", "'", "\"", "(", ")", "[", "]", "{",
            "}", "<", ">", "|", "\\", "^", "`", "\u{1}", "\t", "\u{7f}", "é", "e\u{301}", "日本",
            "😀", "\u{feff}", "\u{2028}", "ß", "A", "Z",
        ]
        atoms += "abcdefghijklmnopqrstuvwxyz0123456789".map { String($0) }
        return atoms
    }()

    static func text(_ random: inout SplitMix, _ most: Int) -> String {
        (0..<Int.random(in: 0...most, using: &random)).map { _ in
            atoms.randomElement(using: &random)!
        }.joined()
    }

    static func sample(_ random: inout SplitMix) -> Sample {
        let methods = ["GET", "PUT", "HEAD", "POST", "DELETE"]
        let host = ["127.0.0.1:9000", "b.s3.eu-west-3.amazonaws.com", "[::1]:8080", "h"]
            .randomElement(using: &random)!
        let time = Timestamp(
            milliseconds: Int64.random(in: 946_684_800_000...4_102_444_800_000, using: &random)
        )
        let date = Signer.dateText(time)
        let token: String? = Bool.random(using: &random) ? nil : "Token/+=" + hex(&random)
        var headers = [
            (name: "host", value: host), (name: "x-amz-date", value: date),
        ]
        let payload = random.next() % 8 == 0 ? "UNSIGNED-PAYLOAD" : hex(&random)
        headers.append((name: "x-amz-content-sha256", value: payload))
        if let token { headers.append((name: "x-amz-security-token", value: token)) }
        let blank = ["", " ", "  ", "\t "]
        for name in ["Content-Type", "range", "If-None-Match", "x-amz-meta-Note", "Content-MD5"]
        where Bool.random(using: &random) {
            let words = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                hex(&random).prefix(Int.random(in: 1...8, using: &random))
            }
            let gap = blank.randomElement(using: &random)!
            headers.append((name: name, value: gap + words.joined(separator: gap + " ") + gap))
        }
        let query = (0..<Int.random(in: 0...5, using: &random)).map { index in
            (name: text(&random, 4) + "\(index)", value: text(&random, 8))
        }
        let request = UnsignedRequest(
            method: methods.randomElement(using: &random)!,
            path: "/" + text(&random, 30),
            query: query,
            headers: headers,
            payloadHash: payload
        )
        let regions = ["us-east-1", "eu-central-1", "auto", "fr-par"]
        let region = regions.randomElement(using: &random)!
        let secret = "Secret/+=" + hex(&random)
        let credentials = Credentials(
            accessKeyID: "AKID" + hex(&random).prefix(12),
            secretAccessKey: secret,
            sessionToken: token,
            source: "test"
        )
        let signature = Signer(region: region).sign(request, with: credentials, date: date)
        let encoded = request.encodedQuery
        return Sample(
            method: request.method,
            path: request.path,
            query: query.map { [$0.name, $0.value] },
            headers: headers.map { [$0.name, $0.value] },
            payloadHash: payload,
            date: date,
            region: region,
            accessKey: credentials.accessKeyID,
            secretKey: secret,
            token: token,
            url: "http://\(host)\(request.encodedPath)" + (encoded.isEmpty ? "" : "?" + encoded),
            authorization: signature.authorization
        )
    }

    static func hex(_ random: inout SplitMix) -> String {
        (0..<4).map { _ in Hex.string(random.next(), digits: 16) }.joined()
    }
}

/// Numbers that look random and are the same for the same seed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
