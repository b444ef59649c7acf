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
    /// The only pages that are written, when the others are there already. What is proven then is
    /// each page; the state is proven by whoever knows the other pages.
    var wanted: PageSet?
    /// Whether the file is thrown away in the end.
    var isScratch = false

    /// A state in a file that nobody else sees yet.
    struct Built: Sendable {
        var file: OutputFile
        var digest: DatabaseDigest
        var pageCount: UInt32
        var time: Timestamp?
    }

    /// Called with the state before the first commit.
    typealias Beginning = (LogApplier, PageCache) async throws -> Void
    /// Called with each commit after it was applied, the pages that it changed, and the pages.
    typealias Observer = (CommitRecord, [PageEntry], PageCache) async throws -> Void

    var pageSize: PageSize { plan.generation.record.pageSize }

    /// Builds the state in a new file beside `output`.
    func build(
        beside output: String,
        begin: Beginning? = nil,
        observe: Observer? = nil
    ) async throws -> Built {
        let base = try await openBase()
        let pages = base.layout.footer.pageCountAfter
        let size = pageSize
        let file = try await executor.run {
            try checkSpace(pages, at: output)
            let file = try OutputFile(beside: output, pageSize: size, isScratch: isScratch)
            try file.reserve(pages: pages)
            return file
        }
        return try await build(base, into: file, begin: begin, observe: observe)
    }

    /// Writes the wanted pages into a file that holds the others.
    func build(into file: OutputFile) async throws -> Built {
        try await build(try await openBase(), into: file, begin: nil, observe: nil)
    }

    private func openBase() async throws -> OpenSegment {
        progress.begin(.fetching, total: plan.byteCount)
        return try await OpenSegment(
            plan.base,
            generation: plan.baseGeneration,
            pageSize: pageSize,
            reader: reader
        )
    }

    private func build(
        _ base: OpenSegment,
        into file: OutputFile,
        begin: Beginning?,
        observe: Observer?
    ) async throws -> Built {
        let cache = PageCache(file, bytes: memoryBytes / 2)
        let levels = try await openLevels(after: base)
        let rest = Array(plan.steps[levels.count...])
        let (kept, changed) = try await readLogs(
            rest,
            pageCount: base.layout.footer.pageCountAfter
        )
        let digest = try await writePages(base, levels, changed: changed, file: file, cache: cache)
        var applier = LogApplier(
            base.layout,
            level: levels.last?.open.layout,
            digest: digest,
            cache: cache,
            wanted: wanted
        )
        if let begin { try await begin(applier, cache) }
        try await apply(rest, to: &applier, kept: kept, cache: cache, observe)
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

    private func apply(
        _ steps: [PlannedSlice],
        to applier: inout LogApplier,
        kept: [[UInt8]?],
        cache: PageCache,
        _ observe: Observer?
    ) async throws {
        guard !steps.isEmpty else { return }
        if kept.contains(where: { $0 != nil }) { progress.begin(.applying) }
        let stage = LogStage(
            slices: steps,
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
    private func readLogs(
        _ steps: [PlannedSlice],
        pageCount: UInt32
    ) async throws -> ([[UInt8]?], PageSet?) {
        var kept = [[UInt8]?](repeating: nil, count: steps.count)
        let bytes = steps.reduce(UInt64(0)) { $0 + $1.segment.size }
        guard bytes <= UInt64(memoryBytes / 4), !steps.contains(where: { $0.isLevel }),
            steps.allSatisfy({ $0.segment.size <= Limits.wholeObjectBytes })
        else { return (kept, nil) }
        // Pages beyond the base's are new, and so are never read before they are written.
        var changed = PageSet(pageCount: pageCount)
        var index = 0
        try await OrderedTasks.run(steps, width: width, on: executor) { slice in
            let open = try await OpenSegment(
                slice.segment,
                generation: slice.generation,
                pageSize: pageSize,
                reader: reader
            )
            let last = slice.commits.upperBound
            return (open.whole, try await Self.changedPages(open, through: last))
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
