import Foundation
import S3
import Testing

/// The published test-suite of Signature Version 4, where the machine has it: a folder beside the
/// repository, `shared/vectors/sigv4`, or `HIGHWATER_SIGV4_VECTORS`.
@Suite struct SigningVectorTests {
    static let folder: String = {
        if let named = ProcessInfo.processInfo.environment["HIGHWATER_SIGV4_VECTORS"] {
            return named
        }
        var here = URL(filePath: #filePath)
        for _ in 0..<3 { here.deleteLastPathComponent() }
        let path = here.deletingLastPathComponent().appending(path: "shared/vectors/sigv4").path
        return FileManager.default.fileExists(atPath: path) ? path : ""
    }()

    static let cases: [String] =
        folder.isEmpty
        ? [] : ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()

    struct Context: Decodable {
        struct Key: Decodable {
            var accessKeyId: String
            var secretAccessKey: String
            var token: String?
        }
        var credentials: Key
        var normalize: Bool
        var region: String
        var service: String
        var timestamp: String
        var signBody: Bool
        var omitSessionToken: Bool?
    }

    /// A request as the suite writes it, headers that continue on the next line included.
    struct RawRequest {
        var method = ""
        var path = ""
        var query: [(name: String, value: String)] = []
        var headers: [(name: String, value: String)] = []
        var body = ""

        init(_ text: String, normalize: Bool) {
            let halves = text.components(separatedBy: "\n\n")
            body = halves.dropFirst().joined(separator: "\n\n")
            var lines = halves[0].components(separatedBy: "\n")
            let first = lines.removeFirst()
            let start = first.firstIndex(of: " ")!
            let end = first.range(of: " HTTP/", options: .backwards)!.lowerBound
            method = String(first[..<start])
            let target = first[first.index(after: start)..<end]
            let sides = target.split(separator: "?", maxSplits: 1)
            path = String(sides[0])
            if normalize { path = Self.normalized(path) }
            for pair in sides.count > 1 ? sides[1].split(separator: "&") : [] {
                let parts = pair.split(
                    separator: "=",
                    maxSplits: 1,
                    omittingEmptySubsequences: false
                )
                let value = parts.count > 1 ? String(parts[1]) : ""
                query.append(
                    (
                        name: parts[0].removingPercentEncoding!,
                        value: value.removingPercentEncoding!
                    )
                )
            }
            for line in lines where !line.isEmpty {
                if line.first == " ", !headers.isEmpty {
                    headers[headers.count - 1].value += "\n" + line
                } else {
                    let parts = line.split(
                        separator: ":",
                        maxSplits: 1,
                        omittingEmptySubsequences: false
                    )
                    headers.append((name: String(parts[0]), value: String(parts[1])))
                }
            }
        }

        /// Other services tidy paths; S3 does not, so only the test can.
        static func normalized(_ path: String) -> String {
            var parts: [Substring] = []
            for part in path.split(separator: "/") {
                if part == ".." { _ = parts.popLast() } else if part != "." { parts.append(part) }
            }
            let end = path.hasSuffix("/") && !parts.isEmpty ? "/" : ""
            return "/" + parts.joined(separator: "/") + end
        }
    }

    @Test(
        .enabled(
            if: !cases.isEmpty,
            "the published vectors are not on this machine; set HIGHWATER_SIGV4_VECTORS"
        ),
        arguments: cases
    )
    func `signs as published`(name: String) throws {
        func text(_ file: String) throws -> String {
            try String(contentsOfFile: "\(Self.folder)/\(name)/\(file)", encoding: .utf8)
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let context = try decoder.decode(
            Context.self,
            from: Data(try text("context.json").utf8)
        )
        let raw = RawRequest(try text("request.txt"), normalize: context.normalize)
        let date = context.timestamp.filter { $0 != "-" && $0 != ":" }
        let hash = Digester.hex(context.signBody ? raw.body : "")
        var headers = raw.headers + [(name: "X-Amz-Date", value: date)]
        if context.signBody { headers.append((name: "x-amz-content-sha256", value: hash)) }
        if let token = context.credentials.token, context.omitSessionToken != true {
            headers.append((name: "X-Amz-Security-Token", value: token))
        }
        let request = UnsignedRequest(
            method: raw.method,
            path: raw.path,
            query: raw.query,
            headers: headers,
            payloadHash: context.signBody ? hash : Digester.hex(raw.body)
        )
        let signature = Signer(region: context.region, service: context.service).sign(
            request,
            with: Credentials(
                accessKeyID: context.credentials.accessKeyId,
                secretAccessKey: context.credentials.secretAccessKey,
                sessionToken: context.credentials.token,
                source: "test"
            ),
            date: date
        )
        #expect(signature.canonicalRequest == (try text("header-canonical-request.txt")))
        #expect(signature.stringToSign == (try text("header-string-to-sign.txt")))
        #expect(signature.authorization.hasSuffix(try text("header-signature.txt")))
    }
}
