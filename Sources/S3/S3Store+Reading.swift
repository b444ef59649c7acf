import HTTPTransport
package import ObjectStorage

extension S3Store {
    /// As the protocol says.
    ///
    /// An answer that breaks off is read on from where it broke, as long as the object is the
    /// same one.
    package func get(
        _ key: ObjectKey,
        range: Range<UInt64>?
    ) async throws(StoreError) -> [UInt8] {
        try await get(key, range: range, ifMatch: nil)
    }

    /// As `get(_:range:)`, and only if the object still has the entity tag `ifMatch`.
    package func get(
        _ key: ObjectKey,
        range: Range<UInt64>?,
        ifMatch: String?
    ) async throws(StoreError) -> [UInt8] {
        try check(key, .get)
        if let range, range.isEmpty { return try await confirm(key) }
        var reader = ObjectReader(store: self, key: fullKey(key), range: range, tag: ifMatch)
        return try await reader.run()
    }

    /// No bytes, of an object that exists.
    private func confirm(_ key: ObjectKey) async throws(StoreError) -> [UInt8] {
        guard try await head(key) != nil else {
            throw StoreError(
                .notFound,
                .get,
                object: "s3://\(configuration.bucket)/\(fullKey(key))",
                "there is no such object"
            )
        }
        return []
    }
}

/// Reads one object, or a range of it, in as many answers as it takes.
private struct ObjectReader {
    let store: S3Store
    let key: String
    let range: Range<UInt64>?
    /// The tag that all answers must have: the caller's, or the first answer's.
    var tag: String?
    private var bytes: [UInt8] = []

    init(store: S3Store, key: String, range: Range<UInt64>?, tag: String?) {
        self.store = store
        self.key = key
        self.range = range
        self.tag = tag
    }

    private var start: UInt64 { range?.lowerBound ?? 0 }

    mutating func run() async throws(StoreError) -> [UInt8] {
        var breaks = 0
        while true {
            do {
                let response = try await store.client.perform(request()).response
                return try finish(response)
            } catch let failure as S3Failure {
                if failure.code == "InvalidRange", breaks == 0 || !bytes.isEmpty { return bytes }
                guard case .transfer(let error) = failure.cause, let partial = error.partial,
                    breaks < Limits.resumedReads, try take(partial)
                else { throw failure.storeError(.get, key, store.client) }
                breaks += 1
            } catch let error as StoreError {
                throw error
            } catch {
                throw store.damaged(.get, key, "\(error)")
            }
        }
    }

    private func request() -> S3Request {
        var request = S3Request(.get, .get, key: key)
        request.headers = store.configuration.readingHeaders
        request.resumes = true
        let from = start + UInt64(bytes.count)
        if let range {
            request.headers.append((name: "range", value: "bytes=\(from)-\(range.upperBound - 1)"))
            let wanted = Int(min(UInt64(Limits.wholeObjectBytes), range.upperBound - from))
            // A store that ignores ranges sends everything: small objects are cut here.
            request.responseLimit = max(wanted, Limits.ignoredRangeBytes)
        } else {
            if from > 0 { request.headers.append((name: "range", value: "bytes=\(from)-")) }
            request.responseLimit = Limits.wholeObjectBytes - bytes.count
        }
        if let tag { request.headers.append((name: "if-match", value: tag)) }
        return request
    }

    /// Keeps what came of an answer that broke off; false when it cannot be read on from there.
    private mutating func take(_ partial: HTTPResponse) throws(StoreError) -> Bool {
        guard let newTag = partial.header("etag"), tag == nil || tag == newTag else { return false }
        let part = try piece(of: partial)
        tag = newTag
        bytes += part
        return !part.isEmpty
    }

    private mutating func finish(_ response: HTTPResponse) throws(StoreError) -> [UInt8] {
        if let encoding = response.header("content-encoding"), encoding != "identity",
            encoding != "aws-chunked"
        {
            throw store.damaged(.get, key, "something on the way encoded it as \(encoding)")
        }
        bytes += try piece(of: response)
        return bytes
    }

    /// The bytes of an answer that belong at the end of what is there.
    private func piece(of response: HTTPResponse) throws(StoreError) -> [UInt8] {
        let from = start + UInt64(bytes.count)
        // Some stores answer a range with status 200 and its place in Content-Range.
        if let place = response.header("content-range") {
            guard let first = Self.firstByte(place), first == from else {
                throw store.damaged(
                    .get,
                    key,
                    "the store sent '\(place)', but bytes from \(from) on were asked for"
                )
            }
            return limited(response.body)
        }
        guard from > 0 || range != nil, response.status == 200 else {
            return limited(response.body)
        }
        let rest = response.body.dropFirst(Int(min(from, UInt64(response.body.count))))
        return limited(Array(rest))
    }

    private func limited(_ body: [UInt8]) -> [UInt8] {
        guard let range else { return body }
        let wanted = range.upperBound - start - UInt64(bytes.count)
        return UInt64(body.count) <= wanted ? body : Array(body.prefix(Int(wanted)))
    }

    /// `bytes 5-9/100` → 5.
    private static func firstByte(_ text: String) -> UInt64? {
        let words = text.split { $0 == " " || $0 == "-" || $0 == "/" }
        guard words.count >= 3, words[0] == "bytes" else { return nil }
        return UInt64(words[1])
    }
}
