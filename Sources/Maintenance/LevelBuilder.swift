package import BackupCatalog
package import Bytes
package import ObjectStorage
import SegmentFormat

/// Builds levels: from what the agent knows, without fetching anything.
package struct LevelBuilder: Sendable {
    private let catalog: Catalog
    private let generation: Generation
    private let writer: WriterTag

    /// A builder for `generation`; `writer` is the process's tag.
    package init(catalog: Catalog, generation: Generation, writer: WriterTag) {
        self.catalog = catalog
        self.generation = generation
        self.writer = writer
    }

    /// Stores the level of the window, its pages read from `source` as of its end.
    ///
    /// Streams: a block of pages is in memory, and some 17 bytes for each page. Nothing is stored
    /// unless the pages are proven to be all that changed.
    /// - Throws: `MaintenanceError.notPossible` when the window cannot be proven,
    ///   `StoreError.bodyFailed` when the proof fails, or the source does.
    @discardableResult
    package func store(
        level: UInt8,
        _ window: ChangedPages,
        pages source: any PageSource,
        position: WALPosition? = nil
    ) async throws -> StoredSegment {
        let producer = try producer(level: level, window, source, position)
        let name = producer.name
        let key = try catalog.layout.segment(name, of: generation.id)
        try await catalog.store.put(key, body: LevelBody(producer: producer), ifAbsent: false)
        guard let finished = await producer.finished else {
            throw MaintenanceError(.notConfirmed, object: key.path, "the store took only a part")
        }
        return catalog.segment(name, of: generation.id, size: finished.byteCount)
    }

    /// The level as an object's name and content, for a queue that sends it when it is its turn.
    package func object(
        level: UInt8,
        _ window: ChangedPages,
        pages source: any PageSource,
        position: WALPosition? = nil
    ) throws -> (key: ObjectKey, body: any ObjectBody) {
        let producer = try producer(level: level, window, source, position)
        let key = try catalog.layout.segment(producer.name, of: generation.id)
        return (key, LevelBody(producer: producer))
    }

    private func producer(
        level: UInt8,
        _ window: ChangedPages,
        _ source: any PageSource,
        _ position: WALPosition?
    ) throws -> LevelProducer {
        guard let changes = window.changes, let before = window.start.digest,
            let after = window.end.digest, let first = window.firstTime, let last = window.lastTime
        else {
            throw MaintenanceError(
                .notPossible,
                object: generation.id.text,
                "the window \(window.start.txid) to \(window.end.txid) cannot be proven: a digest"
                    + " or a page's hash at its start is not known"
            )
        }
        let encoder = try LevelEncoder(
            header: SegmentHeader(
                kind: .level,
                level: level,
                pageSize: generation.record.pageSize,
                minTXID: window.start.txid.next,
                writer: writer,
                digestBefore: before,
                pageCountBefore: window.start.pageCount,
                generation: generation.id
            ),
            end: LevelEnd(
                txid: window.end.txid,
                digest: after,
                pageCount: window.end.pageCount,
                firstTime: first,
                lastTime: last,
                position: position
            )
        )
        return LevelProducer(encoder: encoder, changes: changes, source: source)
    }
}

/// Makes a level's bytes as the store takes them.
private actor LevelProducer {
    nonisolated let name: SegmentName
    private(set) var finished: FinishedSegment?
    private let encoder: LevelEncoder
    private let source: any PageSource
    private var changes: ArraySlice<ChangedPages.Change>

    private static let chunkBytes = 256 << 10

    init(
        encoder: sending LevelEncoder,
        changes: [ChangedPages.Change],
        source: any PageSource
    ) {
        name = encoder.name
        self.encoder = encoder
        self.changes = changes[...]
        self.source = source
    }

    func next() async throws -> [UInt8]? {
        var chunk: [UInt8] = []
        while chunk.count < Self.chunkBytes, let change = changes.popFirst() {
            switch change {
            case .stored(let page, let hash):
                let content = try await source.content(of: page)
                try encoder.append(page: page, hashBefore: hash, content: content)
            case .removed(let page, let hash):
                try encoder.append(removed: page, hashBefore: hash)
            }
            if encoder.bufferedByteCount > Self.chunkBytes { chunk += encoder.takeOutput() }
        }
        if changes.isEmpty, finished == nil {
            finished = try encoder.finish()
            chunk += encoder.takeOutput()
        }
        return chunk.isEmpty ? nil : chunk
    }
}

private struct LevelBody: ObjectBody {
    let producer: LevelProducer
    var byteCount: UInt64? { nil }

    mutating func next() async throws -> [UInt8]? { try await producer.next() }
}
