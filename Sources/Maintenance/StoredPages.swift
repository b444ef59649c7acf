package import BackupCatalog
package import Bytes
package import ObjectStorage
import PageHashing
import SegmentFormat
import Zstandard

/// Pages of one state, read from the store: what a level is built from without a database.
///
/// In memory, so only for windows of bounded size.
package struct StoredPages: PageSource {
    private var pages: [UInt32: [UInt8]] = [:]
    /// The TXID as of which a page of a snapshot in slices was read.
    private var asOf: [UInt32: TXID] = [:]
    private var pageCount: UInt32 = 0
    private let wanted: Set<UInt32>
    private let pageSize: PageSize
    private let store: any ObjectStore

    /// The pages `wanted` in the state of `run` at `txid`.
    package init(
        _ wanted: Set<UInt32>,
        at txid: TXID,
        of run: Run,
        pageSize: PageSize,
        store: any ObjectStore
    ) async throws {
        self.wanted = wanted
        self.pageSize = pageSize
        self.store = store
        guard let path = run.path(to: txid), let snapshot = path.snapshot else {
            throw MaintenanceError(
                .notPossible,
                object: "\(txid)",
                "the generation has no snapshot of its own to read the pages from"
            )
        }
        try await load(snapshot)
        for step in path.steps {
            switch step {
            case .level(let level): try await apply(level)
            case .log(let slice): try await apply(slice)
            }
        }
    }

    /// As the protocol says.
    package func content(of page: PageNumber) async throws -> [UInt8] {
        guard let content = pages[page.rawValue] else {
            throw MaintenanceError(.notPossible, object: "page \(page)", "it is not in the state")
        }
        return content
    }

    private mutating func load(_ snapshot: StoredSegment) async throws {
        let fetcher = SegmentFetcher(snapshot, from: store)
        let layout = try await fetcher.layout()
        var decompressor = Decompressor()
        for block in layout.blocks where block.kind == .content {
            let first = pageSize.ordinal(of: PageNumber(UInt32(block.first)))
            let numbers = (0..<UInt64(block.count)).map {
                UInt32(pageSize.storedPage(at: first + $0))
            }
            guard numbers.contains(where: { wanted.contains($0) }) else { continue }
            let stored = try await fetcher.bytes(in: block.range)
            let raw = try snapshot.naming { () throws(SegmentError) in
                try SnapshotBlocks.decodeContent(stored[...], block, using: &decompressor)
            }
            for (index, number) in numbers.enumerated() where wanted.contains(number) {
                let start = index * pageSize.bytes
                pages[number] = Array(raw[start..<start + pageSize.bytes])
                asOf[number] = block.txid
            }
        }
        pageCount = layout.footer.pageCountAfter
    }

    private mutating func apply(_ level: StoredSegment) async throws {
        let fetcher = SegmentFetcher(level, from: store)
        let layout = try await fetcher.layout()
        var content = ContentStream(fetcher: fetcher, layout: layout)
        var decompressor = Decompressor()
        for block in layout.blocks where block.kind == .meta {
            let stored = try await fetcher.bytes(in: block.range)
            let entries = try level.naming { () throws(SegmentError) in
                try LevelBlocks.decodeMeta(stored[...], block, using: &decompressor)
            }
            for entry in entries {
                let page = entry.page.rawValue
                if entry.change.isRemoval {
                    pages[page] = nil
                } else {
                    let bytes = try await content.next()
                    if wanted.contains(page) { pages[page] = bytes }
                }
            }
        }
        asOf = [:]
        pageCount = layout.footer.pageCountAfter
    }

    private mutating func apply(_ slice: LogSlice) async throws {
        var pages = pages
        let (wanted, asOf, size) = (wanted, asOf, pageSize.bytes)
        try await LogReader(store: store).commits(of: slice, contents: true) { commit in
            for (entry, content) in commit.pages where wanted.contains(entry.page.rawValue) {
                let page = entry.page.rawValue
                if let known = asOf[page], commit.record.txid <= known { continue }
                guard !entry.change.isRemoval, var bytes = content else {
                    pages[page] = nil
                    continue
                }
                if entry.change == .xor {
                    let old = pages[page] ?? [UInt8](repeating: 0, count: size)
                    bytes.withUnsafeMutableBytes { target in
                        old.withUnsafeBytes { PageXOR.apply($0, to: target) }
                    }
                }
                pages[page] = bytes
            }
        }
        self.pages = pages
    }
}

/// Builds levels from what the store has: for maintenance without an agent, and for tests.
package struct StoredLevelBuilder: Sendable {
    private let catalog: Catalog
    private let timeline: Timeline
    private let writer: WriterTag

    /// A builder for the generation of `timeline`.
    package init(catalog: Catalog, timeline: Timeline, writer: WriterTag) {
        self.catalog = catalog
        self.timeline = timeline
        self.writer = writer
    }

    /// The pages that the commits after `start`, up to `end`, changed, from the META blocks alone.
    ///
    /// Nil when the run does not hold both states, or the first one's digest is not recorded.
    package func changes(after start: TXID, through end: TXID) async throws -> ChangedPages? {
        guard start < end, let run = timeline.run(holding: end), run.contains(start) else {
            return nil
        }
        var window: ChangedPages?
        for slice in run.slices
        where slice.txids.upperBound > start && slice.txids.lowerBound <= end {
            if slice.txids.lowerBound == start.next {
                let header = try await SegmentFetcher(slice.segment, from: catalog.store).header()
                window = ChangedPages(
                    start: ChangedPages.State(
                        txid: start,
                        digest: header.digestBefore,
                        pageCount: header.pageCountBefore
                    )
                )
            }
            let reader = LogReader(store: catalog.store)
            try await reader.commits(of: slice, contents: false) { commit in
                let record = commit.record
                if record.txid == start {
                    window = ChangedPages(
                        start: ChangedPages.State(
                            txid: start,
                            digest: record.digest,
                            pageCount: record.pageCount
                        )
                    )
                }
                guard record.txid > start, record.txid <= end,
                    window?.end.txid == record.txid.previous
                else { return }
                for page in commit.pages { window?.add(page.entry) }
                window?.end(record)
            }
        }
        return window?.end.txid == end ? window : nil
    }

    /// Stores the level from `start` to `end`; nil when it cannot be proven or built, or would be
    /// longer than `limit` bytes.
    @discardableResult
    package func build(
        level: UInt8,
        after start: TXID,
        through end: TXID,
        atMost limit: UInt64 = .max
    ) async throws -> StoredSegment? {
        guard let window = try await changes(after: start, through: end), window.isProvable,
            let run = timeline.run(holding: end), let changes = window.changes,
            changes.count * timeline.generation.record.pageSize.bytes
                <= MaintenanceLimits.offlineLevelBytes,
            // A page takes its record at least, half of which no compression makes shorter.
            UInt64(changes.count) * 16 <= limit, run.path(to: end)?.snapshot != nil
        else { return nil }
        var wanted: Set<UInt32> = []
        for case .stored(let page, _) in changes { wanted.insert(page.rawValue) }
        let pages = try await StoredPages(
            wanted,
            at: end,
            of: run,
            pageSize: timeline.generation.record.pageSize,
            store: catalog.store
        )
        let builder = LevelBuilder(
            catalog: catalog,
            generation: timeline.generation,
            writer: writer
        )
        var object = try builder.object(level: level, window, pages: pages)
        var bytes: [UInt8] = []
        while let chunk = try await object.body.next() {
            bytes += chunk
            if UInt64(bytes.count) > limit { return nil }
        }
        let folder = catalog.layout.folder(of: timeline.generation.id)
        guard let name = SegmentName(path: String(object.key.path.dropFirst(folder.count))) else {
            preconditionFailure("a level has a segment's name")
        }
        try await catalog.store.put(object.key, bytes: bytes)
        return catalog.segment(
            name,
            of: timeline.generation.id,
            size: UInt64(bytes.count)
        )
    }
}
