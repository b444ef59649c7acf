import Bytes
import HTTPTransport
package import ObjectStorage

extension S3Store {
    static let namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

    /// As the protocol says: pages of 1000, until the store says that there are no more.
    package func list(
        prefix: String,
        after: String?,
        limit: Int?
    ) async throws(StoreError) -> [ObjectInfo] {
        if limit == 0 { return [] }
        var found: [ObjectInfo] = []
        var cursor = ListCursor(after: after.map { configuration.keyPrefix + $0 })
        while true {
            let request = listRequest(prefix: prefix, cursor, limit: limit.map { $0 - found.count })
            let response = try await perform(request, .list).response
            let page: ListPage
            do {
                page = try ListPage(response.body, isEncoded: asksForEncoding, configuration)
            } catch {
                // A web page, or what a proxy made of an answer: nothing is known about objects.
                throw StoreError(
                    .unreachable,
                    .list,
                    object: "s3://\(configuration.bucket)/\(configuration.keyPrefix)\(prefix)",
                    "the listing is \(error); check the endpoint, and proxies on the way"
                )
            }
            for object in page.objects where belongs(object.key.path, prefix, after) {
                found.append(object)
            }
            if let limit, found.count >= limit { break }
            guard page.isTruncated else { break }
            do {
                try cursor.advance(page)
            } catch {
                throw damaged(.list, configuration.keyPrefix + prefix, error.description)
            }
        }
        if !found.indices.dropFirst().allSatisfy({ found[$0 - 1].key < found[$0].key }) {
            // Not every store lists in the order of bytes.
            found.sort { $0.key < $1.key }
        }
        return limit.map { Array(found.prefix($0)) } ?? found
    }

    private var asksForEncoding: Bool { configuration.provider.listsEncodedKeys }

    private func listRequest(prefix: String, _ cursor: ListCursor, limit: Int?) -> S3Request {
        var request = S3Request(.list, .get)
        let full = configuration.keyPrefix + prefix
        if !full.isEmpty { request.query.append((name: "prefix", value: full)) }
        if asksForEncoding { request.query.append((name: "encoding-type", value: "url")) }
        let keys = min(limit ?? Limits.listPageKeys, Limits.listPageKeys)
        request.query.append((name: "max-keys", value: "\(keys)"))
        if configuration.provider.listsVersion2 {
            request.query.append((name: "list-type", value: "2"))
            if let token = cursor.token {
                request.query.append((name: "continuation-token", value: token))
            } else if let after = cursor.after {
                request.query.append((name: "start-after", value: after))
            }
        } else if let after = cursor.after {
            request.query.append((name: "marker", value: after))
        }
        return request
    }

    /// Whether a key that the store listed was asked for: some ignore what they do not know.
    private func belongs(_ path: String, _ prefix: String, _ after: String?) -> Bool {
        path.utf8.starts(with: prefix.utf8)
            && (after.map { $0.utf8.lexicographicallyPrecedes(path.utf8) } ?? true)
    }
}

/// Where the next page of a listing begins.
struct ListCursor {
    /// The whole key after which the listing begins.
    var after: String?
    var token: String?
    private var seen: Set<String> = []
    /// Pages without an object since the last one with some.
    private var emptyPages = 0

    init(after: String?) { self.after = after }

    mutating func advance(_ page: ListPage) throws(XMLProblem) {
        emptyPages = page.lastKey == nil ? emptyPages + 1 : 0
        guard emptyPages < Limits.emptyListPages else {
            throw XMLProblem(
                description: "the listing does not end: \(emptyPages) pages without an object"
            )
        }
        if let next = page.nextToken, !next.isEmpty {
            guard seen.insert(next).inserted else {
                throw XMLProblem(description: "the listing goes in circles: a token came twice")
            }
            token = next
            return
        }
        guard let next = page.nextMarker ?? page.lastKey,
            after.map({ $0.utf8.lexicographicallyPrecedes(next.utf8) }) ?? true
        else {
            throw XMLProblem(description: "the listing is cut off, and does not say how to go on")
        }
        (after, token) = (next, nil)
    }
}

/// One answer to a listing.
struct ListPage {
    var objects: [ObjectInfo] = []
    var isTruncated: Bool
    var nextToken: String?
    var nextMarker: String?
    /// The last whole key, ours or not.
    var lastKey: String?

    init(
        _ body: [UInt8],
        isEncoded: Bool,
        _ configuration: S3Configuration
    ) throws(XMLProblem) {
        let root = try XMLElement.parse(body)
        guard root.name == "ListBucketResult" else {
            throw XMLProblem(description: "not one: it begins with <\(root.name.prefix(60))>")
        }
        isTruncated = root.text("IsTruncated") == "true"
        nextToken = root.text("NextContinuationToken")
        // A store that did not take the wish for encoding does not repeat it.
        let decodes = isEncoded && root.text("EncodingType") == "url"
        func plain(_ text: String) throws(XMLProblem) -> String {
            guard decodes else { return text }
            let plus = configuration.provider.writesSpaceAsPlus
            guard let key = URIEncoding.decode(text, plusIsSpace: plus) else {
                throw XMLProblem(description: "not well encoded: '\(text.prefix(100))'")
            }
            return key
        }
        nextMarker = try root.text("NextMarker").map { text throws(XMLProblem) in try plain(text) }
        for entry in root.all("Contents") {
            guard let text = entry.text("Key") else {
                throw XMLProblem(description: "not whole: an object has no key")
            }
            let name = try plain(text)
            lastKey = name
            // Keys that are not ours in shape (`folder/`) are not ours.
            guard name.utf8.starts(with: configuration.keyPrefix.utf8),
                let key = ObjectKey(
                    String(
                        decoding: name.utf8.dropFirst(configuration.keyPrefix.utf8.count),
                        as: UTF8.self
                    )
                )
            else { continue }
            guard let size = entry.text("Size").flatMap({ UInt64($0) }) else {
                throw XMLProblem(description: "not whole: '\(name.prefix(100))' has no size")
            }
            objects.append(
                ObjectInfo(
                    key: key,
                    size: size,
                    modified: entry.text("LastModified").flatMap { Timestamp(rfc3339: $0) },
                    entityTag: entry.text("ETag")
                )
            )
        }
    }
}
