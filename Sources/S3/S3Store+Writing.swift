import Bytes
import HTTPTransport
package import ObjectStorage

/// The bytes of a body that has not been read to its end yet, cut into parts.
struct PartReader {
    private var body: any ObjectBody
    private var pending: [UInt8]?
    private var start = 0
    private(set) var isAtEnd = false

    init(_ body: any ObjectBody) { self.body = body }

    /// Up to `size` bytes in pieces; fewer only at the end.
    mutating func next(size: Int) async throws -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var room = size
        while room > 0, !isAtEnd {
            guard let chunk = try await nextChunk() else { break }
            let count = min(room, chunk.count - start)
            if start == 0, count == chunk.count {
                pieces.append(chunk)
                pending = nil
            } else {
                pieces.append(Array(chunk[start..<start + count]))
                start += count
                if start == chunk.count { (pending, start) = (nil, 0) }
            }
            room -= count
        }
        if pending == nil, !isAtEnd { _ = try await nextChunk() }
        return pieces
    }

    private mutating func nextChunk() async throws -> [UInt8]? {
        if let pending { return pending }
        while let chunk = try await body.next() {
            if chunk.isEmpty { continue }
            (pending, start) = (chunk, 0)
            return chunk
        }
        isAtEnd = true
        return nil
    }
}

extension S3Store {
    /// As the protocol says. A body of up to a part's size is one request.
    package func put(
        _ key: ObjectKey,
        body: any ObjectBody,
        ifAbsent: Bool
    ) async throws(StoreError) {
        try check(key, .put)
        let name = fullKey(key)
        var conditional = ConditionalWrites.unsupported
        if ifAbsent {
            conditional = try await conditionalWrites()
            if conditional == .unsupported { try await refuseIfPresent(key) }
        }
        let plan = UploadPlan(configuration, byteCount: body.byteCount)
        var reader = PartReader(body)
        let first = try await part(&reader, size: plan.partSize(1), name)
        let condition = ifAbsent && conditional == .supported
        if reader.isAtEnd {
            try await putWhole(name, first, onlyIfAbsent: condition)
        } else {
            let upload = MultipartUpload(store: self, key: name, plan: plan, condition: condition)
            try await upload.run(first: first, rest: &reader)
        }
    }

    /// The next part of a body; what goes wrong there is not the store's fault.
    func part(
        _ reader: inout PartReader,
        size: Int,
        _ key: String
    ) async throws(StoreError) -> [[UInt8]] {
        do {
            return try await reader.next(size: size)
        } catch {
            throw StoreError(
                .bodyFailed,
                .put,
                object: "s3://\(configuration.bucket)/\(key)",
                "the bytes to store could not be read: \(error)"
            )
        }
    }

    /// Stores an object by one request.
    private func putWhole(
        _ key: String,
        _ pieces: [[UInt8]],
        onlyIfAbsent: Bool
    ) async throws(StoreError) {
        var request = S3Request(.put, .put, key: key)
        request.set(body: pieces, sendsMD5: configuration.sendsMD5)
        request.headers += configuration.storingHeaders
        let token = Self.attemptToken()
        if onlyIfAbsent {
            request.headers.append((name: "if-none-match", value: "*"))
            request.headers.append((name: AttemptToken.header, value: token))
        }
        do {
            _ = try await client.perform(request)
        } catch {
            // libcurl may send a request twice by itself, so any refusal may be about our own
            // first attempt.
            if onlyIfAbsent, error.code == "PreconditionFailed",
                try await isOurs(key, token: token, size: request.body.byteCount)
            {
                return
            }
            throw error.storeError(.put, key, client)
        }
    }

    /// Whether the object is the one that the holder of `token` stored.
    func isOurs(_ key: String, token: String, size: Int) async throws(StoreError) -> Bool {
        var request = S3Request(.head, .head, key: key)
        request.headers = configuration.readingHeaders
        do {
            let response = try await client.perform(request).response
            return response.header(AttemptToken.header) == token
                && response.header("content-length") == "\(size)"
        } catch {
            if error.code == "NoSuchKey" { return false }
            throw error.storeError(.put, key, client)
        }
    }

    private func refuseIfPresent(_ key: ObjectKey) async throws(StoreError) {
        guard try await head(key) == nil else {
            throw StoreError(
                .preconditionFailed,
                .put,
                object: "s3://\(configuration.bucket)/\(fullKey(key))",
                "the object exists already"
            )
        }
    }

    static func attemptToken() -> String {
        Hex.string(UInt64.random(in: 0 ... .max), digits: 16)
            + Hex.string(UInt64.random(in: 0 ... .max), digits: 16)
    }
}

/// Marks an object with who stored it, for answers that were lost.
enum AttemptToken {
    static let header = "x-amz-meta-highwater-attempt"
}
