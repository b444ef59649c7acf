import HTTPTransport
import ObjectStorage
import Platform

/// One object that is sent in parts, several at a time. What is in memory is bounded by bytes.
/// When it fails its parts are removed from the store.
struct MultipartUpload {
    let store: S3Store
    let key: String
    let plan: UploadPlan
    /// Whether the object must not exist when the upload is completed.
    let condition: Bool
    private let token = S3Store.attemptToken()

    init(store: S3Store, key: String, plan: UploadPlan, condition: Bool) {
        self.store = store
        self.key = key
        self.plan = plan
        self.condition = condition
    }

    private struct Part: Sendable {
        let number: Int
        let tag: String
        let byteCount: Int
    }

    /// Sends everything. When it returns, the object is there and as long as what was sent.
    func run(first: [[UInt8]], rest reader: inout PartReader) async throws(StoreError) {
        let id = try await begin()
        do {
            let parts = try await send(id, first: first, rest: &reader)
            try await complete(id, parts)
        } catch {
            await abort(id)
            throw error
        }
    }

    private func failure(_ code: StoreError.Code, _ message: String) -> StoreError {
        StoreError(
            code,
            .put,
            object: "s3://\(store.configuration.bucket)/\(key)",
            message
        )
    }

    private func begin() async throws(StoreError) -> String {
        var request = S3Request(.createUpload, .post, key: key)
        request.query = [(name: "uploads", value: "")]
        request.headers = store.configuration.storingHeaders
        request.headers.append((name: AttemptToken.header, value: token))
        let response = try await store.perform(request, .put).response
        guard let root = try? XMLElement.parse(response.body), let id = root.text("UploadId"),
            !id.isEmpty
        else { throw failure(.unreachable, "the store began an upload but gave it no id") }
        return id
    }

    // MARK: - Parts

    private func send(
        _ id: String,
        first: [[UInt8]],
        rest reader: inout PartReader
    ) async throws(StoreError) -> [Part] {
        var source = reader
        defer { reader = source }
        let outcome = await withTaskGroup(
            of: Result<Part, StoreError>.self,
            returning: Result<[Part], StoreError>.self
        ) { group in
            var parts: [Part] = []
            var underWay = 1
            var bytesUnderWay = first.reduce(0) { $0 + $1.count }
            var number = 1
            group.addTask { await self.sendPart(id, 1, first) }
            do throws(StoreError) {
                while !source.isAtEnd {
                    number += 1
                    try checkNumber(number)
                    // A part is read once there is room for it: none waits in memory for others.
                    let size = plan.partSize(number)
                    while underWay >= store.configuration.uploadConcurrency
                        || (underWay > 0 && bytesUnderWay + size > Limits.uploadBufferBytes)
                    {
                        guard let done = try await group.next()?.get() else { break }
                        underWay -= 1
                        bytesUnderWay -= done.byteCount
                        parts.append(done)
                    }
                    let (body, index) = (try await store.part(&source, size: size, key), number)
                    group.addTask { await self.sendPart(id, index, body) }
                    underWay += 1
                    bytesUnderWay += body.reduce(0) { $0 + $1.count }
                }
                while let done = try await group.next()?.get() { parts.append(done) }
                return .success(parts.sorted { $0.number < $1.number })
            } catch {
                group.cancelAll()
                return .failure(error)
            }
        }
        return try outcome.get()
    }

    private func checkNumber(_ number: Int) throws(StoreError) {
        guard number > plan.partsMax else { return }
        throw failure(
            .invalid,
            "the object is longer than \(plan.byteCountMax >> 30) GiB, which is what"
                + " \(plan.partsMax) parts hold; set a larger part-size"
        )
    }

    private func sendPart(
        _ id: String,
        _ number: Int,
        _ pieces: [[UInt8]]
    ) async -> Result<Part, StoreError> {
        var request = S3Request(.uploadPart, .put, key: key)
        request.query = [
            (name: "partNumber", value: "\(number)"), (name: "uploadId", value: id),
        ]
        request.headers = store.configuration.readingHeaders
        request.set(body: pieces, sendsMD5: store.configuration.sendsMD5)
        do throws(StoreError) {
            let response = try await store.perform(request, .put).response
            guard let tag = response.header("etag"), !tag.isEmpty else {
                throw failure(.unreachable, "the store took part \(number) but gave it no ETag")
            }
            let byteCount = request.body.byteCount
            return .success(Part(number: number, tag: tag, byteCount: byteCount))
        } catch {
            return .failure(error)
        }
    }

    // MARK: - The end

    private func complete(_ id: String, _ parts: [Part]) async throws(StoreError) {
        var request = S3Request(.completeUpload, .post, key: key)
        request.query = [(name: "uploadId", value: id)]
        request.headers = [(name: "content-type", value: "application/xml")]
        if condition { request.headers.append((name: "if-none-match", value: "*")) }
        request.mayFailInside = true
        // The store may put the parts together before it answers.
        request.firstByteMilliseconds = 300_000
        var text = "<CompleteMultipartUpload xmlns=\"\(S3Store.namespace)\">"
        for part in parts {
            text += "<Part><PartNumber>\(part.number)</PartNumber>"
            text += "<ETag>\(S3Store.escaped(part.tag))</ETag></Part>"
        }
        text += "</CompleteMultipartUpload>"
        request.set(body: [Array(text.utf8)], sendsMD5: false)
        let size = parts.reduce(0) { $0 + $1.byteCount }
        do {
            _ = try await store.client.perform(request)
        } catch {
            // The upload is gone when an earlier attempt has completed it, and a lost answer may
            // have been a good one.
            guard
                error.code == "NoSuchUpload" || error.code == "PreconditionFailed"
                    || error.mayHaveArrived, try await store.isOurs(key, token: token, size: size)
            else { throw error.storeError(.put, key, store.client) }
            return
        }
        guard try await store.isOurs(key, token: token, size: size) else {
            throw failure(
                .damaged,
                "the store completed the upload, but the object is not the one that was sent"
            )
        }
    }

    /// Removes the parts. The task may be cancelled already, so this has its own short time; what
    /// it leaves is for maintenance, or the bucket's lifecycle rules.
    private func abort(_ id: String) async {
        var request = S3Request(.abortUpload, .delete, key: key)
        request.query = [(name: "uploadId", value: id)]
        request.totalMilliseconds = 10_000
        let (client, prepared) = (store.client, request)
        await CancellationShield.run { _ = try? await client.perform(prepared) }
    }
}
