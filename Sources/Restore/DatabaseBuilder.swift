import BackupCatalog
import Bytes
import ObjectStorage
import Platform
import SegmentFormat
import Zstandard

/// Carries out a plan into a temporary file, in memory that is bounded.
///
/// Where the log segments are few, their records are read first: pages that commits change then
/// stay in memory until they have their last content, and each page is written once. Where they are
/// many, such pages pass through a cache of bounded size.
struct DatabaseBuilder: Sendable {
    let plan: RestorePlan
    let reader: RangeReader
    let executor: ThreadExecutor
    let width: Int
    let memoryBytes: Int
    let progress: RestoreProgress

    /// A state in a file that nobody else sees yet.
    struct Built: Sendable {
        var file: OutputFile
        var digest: DatabaseDigest
        var pageCount: UInt32
        var time: Timestamp?
    }

    private var pageSize: PageSize { plan.generation.record.pageSize }

    /// Called with each commit after it was applied, the pages that it changed, and the pages.
    typealias Observer = (CommitRecord, [PageEntry], PageCache) async throws -> Void

    /// Builds the state beside `output`; `begin` sees the state before the first commit.
    func build(
        beside output: String,
        begin: ((UInt32, PageCache) async throws -> Void)? = nil,
        observe: Observer? = nil
    ) async throws -> Built {
        progress.begin(.fetching, total: plan.byteCount)
        let base = try await OpenSegment(
            plan.base,
            generation: plan.baseGeneration,
            pageSize: pageSize,
            reader: reader
        )
        let pages = base.layout.footer.pageCountAfter
        try await executor.run { try checkSpace(pages, at: output) }
        let (kept, changed) = try await readLogs(pageCount: pages)
        let size = pageSize
        let file = try await executor.run {
            let file = try OutputFile(beside: output, pageSize: size)
            try file.reserve(pages: pages)
            return file
        }
        let cache = PageCache(file, bytes: memoryBytes / 2)
        let stage = SnapshotStage(
            source: base,
            file: file,
            cache: cache,
            changed: changed,
            width: width,
            chunkBytes: UInt64(max(1, min(Int(Limits.requestBytes), memoryBytes / 8 / width))),
            executor: executor
        )
        let digest = try await stage.run()
        if base.layout.header.minTXID == base.layout.footer.maxTXID {
            guard digest == base.layout.footer.digestAfter else {
                throw base.damaged("its pages do not have the recorded digest")
            }
        }
        var applier = LogApplier(base.layout, digest: digest, cache: cache)
        if let begin { try await begin(applier.pageCount, cache) }
        try await applyLogs(&applier, kept: kept, cache: cache, observe)
        guard applier.txid == plan.txid, applier.isState else {
            throw RestoreError(.integrity, "the segments end at TXID \(applier.txid)")
        }
        try cache.flush(pageCount: applier.pageCount)
        try file.resize(to: applier.pageCount)
        return Built(
            file: file,
            digest: applier.digest,
            pageCount: applier.pageCount,
            time: applier.time
        )
    }

    private func applyLogs(
        _ applier: inout LogApplier,
        kept: [[UInt8]?],
        cache: PageCache,
        _ observe: Observer?
    ) async throws {
        guard !plan.logs.isEmpty else { return }
        if kept.contains(where: { $0 != nil }) { progress.begin(.applying) }
        let stage = LogStage(
            slices: plan.logs,
            pageSize: pageSize,
            reader: reader,
            width: width,
            batchBytes: max(Limits.decodedBatchBytes, memoryBytes / 8 / width),
            executor: executor,
            kept: kept
        )
        guard let observe else { return try await stage.run(&applier) }
        try await stage.run(&applier) { try await observe($0, $1, cache) }
    }

    /// Fetches the log segments if they are few, and finds which pages they change.
    private func readLogs(pageCount: UInt32) async throws -> ([[UInt8]?], PageSet?) {
        var kept = [[UInt8]?](repeating: nil, count: plan.logs.count)
        let bytes = plan.logs.reduce(UInt64(0)) { $0 + $1.segment.size }
        let largest = plan.logs.map(\.segment.size).max() ?? 0
        guard bytes <= UInt64(memoryBytes / 4), largest <= Limits.wholeObjectBytes else {
            return (kept, nil)
        }
        var changed = PageSet(pageCount: pageCount)
        var index = 0
        try await OrderedTasks.run(plan.logs, width: width, on: executor) { slice in
            let open = try await OpenSegment(
                slice.segment,
                generation: slice.generation,
                pageSize: pageSize,
                reader: reader
            )
            return (
                open.whole, try await Self.changedPages(open, through: slice.commits.upperBound)
            )
        } consume: { whole, pages in
            kept[index] = whole
            index += 1
            for page in pages { changed.insert(page) }
            return true
        }
        return (kept, changed)
    }

    private static func changedPages(
        _ open: OpenSegment,
        through last: TXID
    ) async throws -> [UInt32] {
        var pages: [UInt32] = []
        var decompressor = Decompressor()
        for block in open.layout.blocks where block.kind == .meta && block.txid <= last {
            let stored = try await open.bytes(of: block)
            let records = try open.segment.naming { () throws(SegmentError) in
                try LogBlocks.decodeMeta(stored, block, using: &decompressor)
            }
            for case .page(let entry) in records where !entry.isNew {
                pages.append(entry.page.rawValue)
            }
        }
        return pages
    }

    private func checkSpace(_ pages: UInt32, at output: String) throws {
        let needed = UInt64(pages) * UInt64(pageSize.bytes)
        let free = try FileSystem.space(at: FileSystem.folder(of: output)).free
        guard free < needed else { return }
        throw RestoreError(
            .noSpace,
            "'\(output)' needs \(needed) bytes of disk space, and \(free) are free; make room or "
                + "name another folder"
        )
    }
}
