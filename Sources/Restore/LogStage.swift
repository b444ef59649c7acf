import BackupCatalog
import Bytes
import Platform
import SegmentFormat
import Zstandard

/// Fetches and decodes log segments side by side, and applies their commits in order.
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
