import Bytes
import Digests
import HTTPTransport
import ObjectStorage

@testable import S3

extension FuzzTarget {
    /// What users, stores and Amazon's tools write.
    static let texts = [
        FuzzTarget("xml", decodeXML),
        FuzzTarget("listing", decodeListing),
        FuzzTarget("store-url", decodeURL),
        FuzzTarget("object-key", decodeKey),
        FuzzTarget("profile", decodeProfile),
        FuzzTarget("credentials", decodeCredentials),
        FuzzTarget("http-date", decodeDate),
        FuzzTarget("coding", decodeCoding),
    ]

    /// An answer's body, as a document and as an error.
    private static func decodeXML(_ bytes: [UInt8]) -> Bool {
        for status in [200, 404, 503] {
            let response = HTTPResponse(
                head: HTTPResponseHead(status: status, headers: []),
                body: bytes
            )
            _ = ErrorAnswer(response, isHead: false, isForObject: true).code
        }
        do throws(XMLProblem) {
            let root = try XMLElement.parse(bytes)
            promise(depth(of: root) <= S3.Limits.xmlDepth, "depth")
            return true
        } catch {
            return false
        }
    }

    private static func depth(of element: XMLElement) -> Int {
        1 + (element.children.map { depth(of: $0) }.max() ?? 0)
    }

    private static let bucket: S3Configuration = {
        guard case .bucket(let url) = try? StoreURL.parse("s3://bucket/pre?endpoint=http://[::1]"),
            let configuration = try? S3Configuration(url, environment: [:])
        else { fatalError("the bucket's URL is right") }
        return configuration
    }()

    /// A page of a listing, and where the next one begins.
    private static func decodeListing(_ bytes: [UInt8]) -> Bool {
        do throws(XMLProblem) {
            let page = try ListPage(bytes, isEncoded: true, bucket)
            for object in page.objects { check(object.key) }
            var cursor = ListCursor(after: nil)
            try cursor.advance(page)
            return true
        } catch {
            return false
        }
    }

    /// A key never leads out of its store, whoever splits it: the kernel does it by bytes.
    private static func check(_ key: ObjectKey) {
        let slash = UInt8(ascii: "/")
        for part in key.path.utf8.split(separator: slash, omittingEmptySubsequences: false) {
            let text = Array(part)
            promise(!text.isEmpty && text != Array(".".utf8) && text != Array("..".utf8), key.path)
        }
        promise(!key.name.isEmpty, key.path)
    }

    private static func decodeKey(_ bytes: [UInt8]) -> Bool {
        guard let key = ObjectKey(String(decoding: bytes, as: UTF8.self)) else { return false }
        check(key)
        return true
    }

    private static func decodeURL(_ bytes: [UInt8]) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        _ = BucketURL.redacted(text)
        _ = Endpoint(text)?.description
        do throws(StoreError) {
            let url = try StoreURL.parse(text)
            switch url {
            case .folder(let path):
                let parts = path.utf8.split(separator: UInt8(ascii: "/"))
                promise(!parts.contains { Array($0) == Array("..".utf8) }, path)
                promise(try! StoreURL.parse(url.description) == url, "\(url)")
            case .bucket(let place):
                let hasSecrets = place.options.contains { BucketURL.isSecret($0.name) }
                let again = try? StoreURL.parse(url.description)
                promise(hasSecrets || again == url, "\(url)")
                _ = try S3Configuration(place, environment: [:])
            }
            return true
        } catch {
            _ = error.description
            return false
        }
    }

    private static func decodeProfile(_ bytes: [UInt8]) -> Bool {
        let file = ProfileFile(String(decoding: bytes, as: UTF8.self))
        return file.profile("default") != nil
    }

    private static func decodeCredentials(_ bytes: [UInt8]) -> Bool {
        _ = SingleSignOnToken(parsing: bytes)
        _ = SingleSignOnAnswer(parsing: bytes)
        do throws(CredentialError) {
            let document = try CredentialDocument(parsing: bytes, from: "x")
            _ = try document.credentials(source: "x")
            return true
        } catch {
            return false
        }
    }

    private static func decodeDate(_ bytes: [UInt8]) -> Bool {
        HTTPDate.parse(String(decoding: bytes, as: UTF8.self)) != nil
    }

    /// Base64 and percent-encoding.
    private static func decodeCoding(_ bytes: [UInt8]) -> Bool {
        promise(Base64.decode(Base64.encode(bytes)) == bytes, "Base64")
        let text = String(decoding: bytes, as: UTF8.self)
        promise(URIEncoding.decode(URIEncoding.encode(text)) == text, text)
        _ = URIEncoding.decode(text, plusIsSpace: true)
        return Base64.decode(text) != nil
    }
}
