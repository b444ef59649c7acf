import BackupCatalog
import Bytes
import PageHashing
import Platform
import SegmentFormat
import Zstandard

/// Writes the pages of a snapshot or level: ranges are fetched and decoded side by side, each page
/// is compared with its hash, and pages that later commits change stay in memory.
struct PageStage: Sendable {
    let source: OpenSegment
    /// The index of a level; nil for a snapshot.
    let level: LevelIndex?
    let file: OutputFile
    let cache: PageCache
    /// Pages that commits of the plan change, if that is known.
    let changed: PageSet?
    /// The only pages that are written; nil for all.
    let wanted: PageSet?
    /// Pages that a later level holds: they are neither written nor fetched where that can be
    /// avoided.
    let skipped: PageSet?
    let width: Int
    let chunkBytes: UInt64
    let executor: ThreadExecutor

    private var pageSize: PageSize { source.layout.header.pageSize }

    /// Content blocks that lie one after another in the object, their pages and these's hashes.
    private struct Chunk: Sendable {
        var blocks: [BlockEntry]
        var pages: [UInt32]
        var hashes: [UInt64]
        var range: Range<UInt64> {
            blocks[0].range.lowerBound..<blocks[blocks.count - 1].range.upperBound
        }
    }

    /// Writes the pages and returns the sum of the hashes of those that were not skipped.
    func run() async throws -> DatabaseDigest {
        var sum = DatabaseDigest.zero
        var index = HashIndex(source)
        try await withThrowingTaskGroup(of: DatabaseDigest.self) { group in
            var running = 0
            for (rank, blocks) in chunks() {
                let count = blocks.reduce(0) { $0 + Int($1.count) }
                let chunk: Chunk
                if let level {
                    let entries = level.whole[Int(rank)..<Int(rank) + count]
                    chunk = Chunk(
                        blocks: blocks,
                        pages: entries.map(\.page.rawValue),
                        hashes: entries.map(\.resultHash)
                    )
                } else {
                    chunk = Chunk(
                        blocks: blocks,
                        pages: pages(from: rank, count: count),
                        hashes: try await index.hashes(from: rank, count: count)
                    )
                }
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

    /// The numbers of pages by their place among the stored ones.
    private func pages(from rank: UInt64, count: Int) -> [UInt32] {
        if let level {
            return level.whole[Int(rank)..<Int(rank) + count].map(\.page.rawValue)
        }
        return (0..<UInt64(count)).map { UInt32(pageSize.storedPage(at: rank + $0)) }
    }

    /// Runs of content blocks that are fetched with one request each, and the place of the first
    /// page of each among the pages of the object.
    private func chunks() -> [(rank: UInt64, blocks: [BlockEntry])] {
        var chunks: [(UInt64, [BlockEntry])] = []
        var open: [BlockEntry] = []
        var (openRank, bytes, rank) = (UInt64(0), UInt64(0), UInt64(0))
        func end() {
            if !open.isEmpty { chunks.append((openRank, open)) }
            open = []
            bytes = 0
        }
        for block in source.layout.blocks {
            guard block.kind == .content else {
                end()
                continue
            }
            defer { rank += UInt64(block.count) }
            if bytes + UInt64(block.storedLength) > chunkBytes { end() }
            // A block that nobody wants ends the range that is fetched.
            guard isWanted(block, rank) else {
                end()
                continue
            }
            if open.isEmpty { openRank = rank }
            open.append(block)
            bytes += UInt64(block.storedLength)
        }
        end()
        return chunks
    }

    private func isWanted(_ block: BlockEntry, _ rank: UInt64) -> Bool {
        guard wanted != nil || skipped != nil else { return true }
        return pages(from: rank, count: Int(block.count)).contains { isWanted($0) }
    }

    private func isWanted(_ page: UInt32) -> Bool {
        wanted?.contains(page) != false && skipped?.contains(page) != true
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
                try LogBlocks.decodeContent(
                    stored[start..<start + Int(block.storedLength)],
                    block,
                    using: &decompressor
                )
            }
            let range = taken..<taken + Int(block.count)
            sum =
                sum
                &+ (try raw.withUnsafeBytes {
                    try write($0, chunk.pages[range], chunk.hashes[range])
                })
            taken += Int(block.count)
        }
        return sum
    }

    private func write(
        _ raw: UnsafeRawBufferPointer,
        _ pages: ArraySlice<UInt32>,
        _ hashes: ArraySlice<UInt64>
    ) throws -> DatabaseDigest {
        let size = pageSize.bytes
        var sum = DatabaseDigest.zero
        // Pages that follow one another in the file are written with one call.
        var run: (first: UInt32, start: Int)?
        func end(_ index: Int) throws {
            guard let open = run else { return }
            run = nil
            let bytes = raw[open.start * size..<index * size]
            try file.write(PageNumber(open.first), UnsafeRawBufferPointer(rebasing: bytes))
        }
        for (index, (number, recorded)) in zip(pages, hashes).enumerated() {
            let content = UnsafeRawBufferPointer(rebasing: raw[index * size..<(index + 1) * size])
            let hash = PageHasher.hash(content, number: PageNumber(number))
            guard hash.low == recorded else {
                throw source.damaged("page \(number) does not have its recorded hash")
            }
            guard isWanted(number) else {
                try end(index)
                continue
            }
            sum = sum &+ hash
            if changed?.contains(number) == true, cache.offer(number, content, hash: hash) {
                try end(index)
            } else if let open = run, Int(open.first) + index - open.start == Int(number) {
                continue
            } else {
                try end(index)
                run = (number, index)
            }
        }
        try end(pages.count)
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
            if start + UInt64(hashes.count) + UInt64(block.count) <= ordinal {
                // Pages that nobody wants: their hashes are not fetched.
                start += UInt64(hashes.count) + UInt64(block.count)
                hashes.removeAll()
                continue
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
