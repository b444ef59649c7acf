import Bytes
import ObjectStorage
import Platform

/// Sends what the queue holds to the store, in order, for as long as it takes.
struct Uploader {
    let queue: UploadQueue
    let destination: Destination
    let ownership: Ownership
    let meter: AgentMeter
    let log: ReplicationLog

    private static let pauseMin = 100 * Nanoseconds.millisecond
    private static let pauseMax = 10 * Nanoseconds.second

    /// Runs until the queue is closed or the task cancelled.
    func run() async {
        var pause = Self.pauseMin
        while let item = await queue.next() {
            if Task.isCancelled { return }
            guard let key = ObjectKey(item.path) else {
                preconditionFailure("our own key is not valid: \(item.path)")
            }
            do {
                let began = MonotonicTime.now
                guard try await send(item, to: key) else { return }
                meter.uploaded(bytes: item.byteCount, in: MonotonicTime.now - began)
                queue.arrived(item)
                pause = Self.pauseMin
            } catch {
                log(.error, "upload failed, will be tried again", [("error", "\(error)")])
                meter.uploadFailed(
                    (error as? StoreError).map { "\($0.code)" } ?? "other",
                    problem: "\(error)"
                )
                if case .stream = item.body { await queue.streamFailed(item) }
                try? await Pause.sleep(nanoseconds: pause)
                pause = min(pause * 2, Self.pauseMax)
            }
        }
    }

    /// Sends an object when it is its turn; false when nobody wants it any more.
    private func send(
        _ item: UploadQueue.Item,
        to key: ObjectKey
    ) async throws -> Bool {
        await destination.uploads.acquire()
        defer { destination.uploads.release() }
        if Task.isCancelled { return false }
        guard try await ownership.mayUpload(asking: item.asksForClaims) else {
            if let refusal = ownership.refusal { queue.refuse(refusal) }
            return false
        }
        try await destination.store.put(key, body: Self.body(item.body), ifAbsent: false)
        if item.path.hasSuffix("/" + GenerationFile.name) { ownership.recordArrived() }
        return true
    }

    private static func body(_ body: UploadQueue.Item.Body) -> any ObjectBody {
        switch body {
        case .bytes(.memory(let bytes)): BytesBody(bytes)
        case .bytes(.file(let file)): SpoolFileBody(file: file)
        case .stream(let channel): ChannelBody(channel: channel)
        }
    }
}

/// A spooled segment as an object's content.
private struct SpoolFileBody: ObjectBody {
    let file: SpoolFile
    var offset: Int64 = 0

    init(file: SpoolFile) { self.file = file }

    var byteCount: UInt64? { UInt64(file.byteCount) }

    mutating func next() async throws -> [UInt8]? {
        guard offset < file.byteCount else { return nil }
        let chunk = try file.read(at: offset, count: 256 * 1024)
        offset += Int64(chunk.count)
        return chunk
    }
}

/// A snapshot as an object's content.
private struct ChannelBody: ObjectBody {
    let channel: ChunkChannel

    var byteCount: UInt64? { nil }

    mutating func next() async throws -> [UInt8]? { try await channel.next() }
}
