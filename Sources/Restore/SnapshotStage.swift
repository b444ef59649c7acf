import BackupCatalog
import Bytes
import PageHashing
import Platform
import SegmentFormat
import Zstandard

/// Writes the pages of a snapshot: ranges are fetched and decoded side by side, each page is
/// compared with its hash, and pages that later commits change stay in memory.
struct SnapshotStage: Sendable {
    let source: OpenSegment
    let file: OutputFile
    let cache: PageCache
    /// Pages that commits of the plan change, if that is known.
    let changed: PageSet?
    let width: Int
    let chunkBytes: UInt64
    let executor: ThreadExecutor

    private var pageSize: PageSize { source.layout.header.pageSize }

    /// Content blocks that lie one after another in the object, and the hashes of their pages.
    private struct Chunk: Sendable {
        var blocks: [BlockEntry]
        var hashes: [UInt64]
        var range: Range<UInt64> {
            blocks[0].range.lowerBound..<blocks[blocks.count - 1].range.upperBound
        }
    }

    /// Writes all pages and returns the sum of their hashes.
    func run() async throws -> DatabaseDigest {
        var sum = DatabaseDigest.zero
        var index = HashIndex(source)
        try await withThrowingTaskGroup(of: DatabaseDigest.self) { group in
            var running = 0
            for blocks in chunks() {
                let first = pageSize.ordinal(of: PageNumber(UInt32(blocks[0].first)))
                let count = blocks.reduce(0) { $0 + Int($1.count) }
                let hashes = try await index.hashes(from: first, count: count)
                let chunk = Chunk(blocks: blocks, hashes: hashes)
                if running >= width, let part = try await group.next() {
                    sum = sum &+ part
                    running -= 1
                }
                running += 1
                group.addTask(executorPreference: executor) { try await write(chunk) }
            }
            for try await part in group { sum = sum &+ part }
        }
        return sum
    }

    private func chunks() -> [[BlockEntry]] {
        var chunks: [[BlockEntry]] = []
        var open: [BlockEntry] = []
        var bytes: UInt64 = 0
        for block in source.layout.blocks {
            let isFull = bytes + UInt64(block.storedLength) > chunkBytes
            if !open.isEmpty, block.kind != .content || isFull {
                chunks.append(open)
                open = []
                bytes = 0
            }
            guard block.kind == .content else { continue }
            open.append(block)
            bytes += UInt64(block.storedLength)
        }
        if !open.isEmpty { chunks.append(open) }
        return chunks
    }

    private func write(_ chunk: Chunk) async throws -> DatabaseDigest {
        let stored = try await source.bytes(in: chunk.range)
        var decompressor = Decompressor()
        var sum = DatabaseDigest.zero
        var taken = 0
        for block in chunk.blocks {
            try Task.checkCancellation()
            let start = stored.startIndex + Int(block.offset - chunk.range.lowerBound)
            let raw = try source.segment.naming { () throws(SegmentError) in
                try SnapshotBlocks.decodeContent(
                    stored[start..<start + Int(block.storedLength)],
                    block,
                    using: &decompressor
                )
            }
            let hashes = chunk.hashes[taken..<taken + Int(block.count)]
            sum = sum &+ (try raw.withUnsafeBytes { try write(block, $0, hashes: hashes) })
            taken += Int(block.count)
        }
        return sum
    }

    private func write(
        _ block: BlockEntry,
        _ raw: UnsafeRawBufferPointer,
        hashes: ArraySlice<UInt64>
    ) throws -> DatabaseDigest {
        let size = pageSize.bytes
        var sum = DatabaseDigest.zero
        let ordinal = pageSize.ordinal(of: PageNumber(UInt32(block.first)))
        // Pages that follow one another in the file are written with one call.
        var run: (first: UInt32, start: Int)?
        func end(_ index: Int) throws {
            guard let open = run else { return }
            run = nil
            let bytes = raw[open.start * size..<index * size]
            try file.write(PageNumber(open.first), UnsafeRawBufferPointer(rebasing: bytes))
        }
        for index in 0..<Int(block.count) {
            let number = UInt32(pageSize.storedPage(at: ordinal + UInt64(index)))
            let content = UnsafeRawBufferPointer(rebasing: raw[index * size..<(index + 1) * size])
            let hash = PageHasher.hash(content, number: PageNumber(number))
            guard hash.low == hashes[hashes.startIndex + index] else {
                throw source.damaged("page \(number) does not have its recorded hash")
            }
            sum = sum &+ hash
            if changed?.contains(number) == true, cache.offer(number, content, hash: hash) {
                try end(index)
            } else if run == nil {
                run = (number, index)
            } else if number == pageSize.lockPage.rawValue + 1 {
                try end(index)
                run = (number, index)
            }
        }
        try end(Int(block.count))
        return sum
    }
}

/// The hashes in a snapshot's index, read as they are needed and forgotten afterwards.
struct HashIndex {
    private let source: OpenSegment
    private var blocks: ArraySlice<BlockEntry>
    private var hashes: [UInt64] = []
    /// The ordinal of the first of `hashes`.
    private var start: UInt64 = 0

    init(_ source: OpenSegment) {
        self.source = source
        blocks = source.layout.blocks.filter { $0.kind == .meta }[...]
    }

    /// The low hashes of `count` pages from that ordinal on, which never goes back.
    mutating func hashes(from ordinal: UInt64, count: Int) async throws -> [UInt64] {
        let end = ordinal + UInt64(count)
        while start + UInt64(hashes.count) < end {
            guard let block = blocks.popFirst() else {
                throw source.damaged("its index ends before its pages")
            }
            let stored = try await source.bytes(of: block)
            hashes += try source.segment.naming { () throws(SegmentError) in
                var decompressor = Decompressor()
                return try SnapshotBlocks.decodeMeta(stored, block, using: &decompressor)
            }
        }
        let lower = Int(ordinal - start)
        let result = Array(hashes[lower..<lower + count])
        if lower > Self.keptCount {
            hashes.removeFirst(lower)
            start = ordinal
        }
        return result
    }

    private static let keptCount = 64 << 10
}
