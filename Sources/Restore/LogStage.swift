import BackupCatalog
import Bytes
import Platform
import SegmentFormat
import Zstandard

/// Fetches and decodes log segments, packs and levels side by side, and applies them in order.
struct LogStage: Sendable {
    let slices: [PlannedSlice]
    let pageSize: PageSize
    let reader: RangeReader
    let width: Int
    /// Decoded pages that are held at a time for each request in flight.
    let batchBytes: Int
    let executor: ThreadExecutor
    /// Objects that were fetched before, by their place in `slices`.
    var kept: [[UInt8]?]

    /// A segment that is ready to be applied.
    private struct Ready: Sendable {
        var slice: PlannedSlice
        var open: OpenSegment
        /// The pages of the content blocks, when they are few.
        var content: [[UInt8]]?
        /// The index of a level.
        var level: LevelIndex?
    }

    /// Applies every slice; `observe` sees each commit after it was applied.
    func run(
        _ applier: inout LogApplier,
        observe: ((CommitRecord, [PageEntry]) async throws -> Void)? = nil
    ) async throws {
        let items = Array(zip(slices, kept))
        try await OrderedTasks.run(items, width: width, on: executor) { item in
            try await ready(item.0, kept: item.1)
        } consume: { ready in
            try await apply(ready, to: &applier, observe)
            return true
        }
    }

    private func ready(_ slice: PlannedSlice, kept: [UInt8]?) async throws -> Ready {
        let open = try await OpenSegment(
            slice.segment,
            generation: slice.generation,
            pageSize: pageSize,
            reader: reader,
            kept: kept
        )
        var result = Ready(slice: slice, open: open)
        if slice.isLevel {
            result.level = try await LevelIndex(open)
            return result
        }
        if slice.segment.name.kind == .pack { try await checkMembers(of: open) }
        let blocks = Self.contentBlocks(open, through: slice.commits.upperBound)
        if open.whole != nil, blocks.reduce(0, { $0 + Int($1.rawLength) }) <= batchBytes {
            result.content = try await Self.decode(blocks, of: open)
        }
        return result
    }

    private static func contentBlocks(_ open: OpenSegment, through last: TXID) -> [BlockEntry] {
        open.layout.blocks.filter { $0.kind == .content && $0.txid <= last }
    }

    private static func decode(
        _ blocks: [BlockEntry],
        of open: OpenSegment
    ) async throws -> [[UInt8]] {
        guard let first = blocks.first, let last = blocks.last else { return [] }
        let base = first.offset
        let stored = try await open.bytes(in: base..<last.range.upperBound)
        var decompressor = Decompressor()
        return try blocks.map { block in
            let start = stored.startIndex + Int(block.offset - base)
            return try open.segment.naming { () throws(SegmentError) in
                try LogBlocks.decodeContent(
                    stored[start..<start + Int(block.storedLength)],
                    block,
                    using: &decompressor
                )
            }
        }
    }

    private func apply(
        _ ready: Ready,
        to applier: inout LogApplier,
        _ observe: ((CommitRecord, [PageEntry]) async throws -> Void)?
    ) async throws {
        try Task.checkCancellation()
        if let level = ready.level { return try await apply(level, of: ready.open, to: &applier) }
        var feeder = LogFeeder(ready.open, commits: ready.slice.commits)
        if let problem = applier.check(ready.open.layout.header) {
            throw ready.open.damaged(problem)
        }
        let blocks = Self.contentBlocks(ready.open, through: ready.slice.commits.upperBound)
        if let content = ready.content {
            for (block, pages) in zip(blocks, content) {
                try await feeder.feed(block, pages, &applier, observe)
            }
        } else {
            let open = ready.open
            try await OrderedTasks.run(batches(blocks), width: width, on: executor) { batch in
                (batch, try await Self.decode(batch, of: open))
            } consume: { batch, content in
                for (block, pages) in zip(batch, content) {
                    try await feeder.feed(block, pages, &applier, observe)
                }
                return !feeder.isDone
            }
        }
        try await feeder.finish(&applier, observe)
    }

    /// Checks that a pack is made of log segments that follow one another.
    private func checkMembers(of open: OpenSegment) async throws {
        let bytes = Array(try await open.bytes(in: PackIndex.range(of: open.layout)))
        _ = try open.segment.naming { () throws(SegmentError) in
            try PackIndex(layout: open.layout, bytes: bytes)
        }
    }

    private func apply(
        _ level: LevelIndex,
        of open: OpenSegment,
        to applier: inout LogApplier
    ) async throws {
        let (header, size) = (open.layout.header, pageSize.bytes)
        guard applier.isState, header.minTXID <= applier.txid.next else {
            throw open.damaged("it begins after the state that it is applied to")
        }
        let isExact = header.minTXID == applier.txid.next
        var whole = level.whole[...]
        let blocks = open.layout.blocks.filter { $0.kind == .content }
        try await OrderedTasks.run(batches(blocks), width: width, on: executor) { batch in
            try await Self.decode(batch, of: open)
        } consume: { content in
            for pages in content {
                try pages.withUnsafeBytes { bytes in
                    for start in stride(from: 0, to: bytes.count, by: size) {
                        // The layout says that there are as many pages as records for them.
                        guard let entry = whole.popFirst() else { return }
                        let page = UnsafeRawBufferPointer(rebasing: bytes[start..<start + size])
                        let problem = try applier.apply(
                            level: entry,
                            isExact: isExact,
                            content: page
                        )
                        if let problem { throw open.damaged(problem) }
                    }
                }
            }
            return true
        }
        for entry in level.entries where entry.change.isRemoval {
            if let problem = try applier.apply(level: entry, isExact: isExact, content: nil) {
                throw open.damaged(problem)
            }
        }
        if let problem = applier.end(level: open.layout.footer) { throw open.damaged(problem) }
    }

    /// Blocks that are fetched and decoded together.
    private func batches(_ blocks: [BlockEntry]) -> [[BlockEntry]] {
        var batches: [[BlockEntry]] = []
        var raw = 0
        for block in blocks {
            raw += Int(block.rawLength)
            if let first = batches.last?.first, raw <= batchBytes,
                block.range.upperBound - first.offset <= Limits.requestBytes
            {
                batches[batches.count - 1].append(block)
            } else {
                batches.append([block])
                raw = Int(block.rawLength)
            }
        }
        return batches
    }
}
