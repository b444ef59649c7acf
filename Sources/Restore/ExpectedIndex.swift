import BackupCatalog
import Bytes
import Platform
import SegmentFormat
import Zstandard

/// The hash that every page of a state has, from indexes and records alone: no page is fetched.
struct ExpectedIndex: Sendable {
    /// The low hashes of pages 1…N, at index number − 1; the lock page's is zero.
    private(set) var hashes: [UInt64] = []
    /// The state's digest, when it is recorded.
    private(set) var digest: DatabaseDigest?
    /// When the state's commit was seen.
    private(set) var time: Timestamp?

    /// Pages of the state.
    var pageCount: UInt32 { UInt32(hashes.count) }

    private let pageSize: PageSize
    private var slices: SliceMap?

    /// Reads the index of the state that `plan` leads to.
    init(
        of plan: RestorePlan,
        reader: RangeReader,
        width: Int,
        on executor: ThreadExecutor
    ) async throws {
        pageSize = plan.generation.record.pageSize
        let size = pageSize
        let base = try await OpenSegment(
            plan.base,
            generation: plan.baseGeneration,
            pageSize: size,
            reader: reader
        )
        try await readBase(base)
        try await OrderedTasks.run(plan.steps, width: width, on: executor) { slice in
            try await Loaded(slice, pageSize: size, reader: reader)
        } consume: { loaded in
            if let level = loaded.level {
                apply(level, of: loaded.open)
            } else {
                try apply(loaded.records, of: loaded.open, loaded.slice.commits)
            }
            return true
        }
    }

    /// What is needed of one step of a plan.
    private struct Loaded: Sendable {
        var slice: PlannedSlice
        var open: OpenSegment
        var records: [LogRecord] = []
        var level: LevelIndex?

        init(_ slice: PlannedSlice, pageSize: PageSize, reader: RangeReader) async throws {
            self.slice = slice
            open = try await OpenSegment(
                slice.segment,
                generation: slice.generation,
                pageSize: pageSize,
                reader: reader
            )
            if slice.isLevel {
                level = try await LevelIndex(open)
            } else {
                let last = slice.commits.upperBound
                records = try await ExpectedIndex.records(open, through: last)
            }
        }
    }

    private mutating func readBase(_ base: OpenSegment) async throws {
        let footer = base.layout.footer
        slices = SliceMap(base.layout)
        digest = footer.digestAfter
        time = footer.lastTime
        hashes = Array(repeating: 0, count: Int(footer.pageCountAfter))
        var index = HashIndex(base)
        var ordinal: UInt64 = 0
        let count = pageSize.storedPageCount(of: footer.pageCountAfter)
        while ordinal < count {
            let step = min(8192, count - ordinal)
            let part = try await index.hashes(from: ordinal, count: Int(step))
            for (offset, hash) in part.enumerated() {
                hashes[Int(pageSize.storedPage(at: ordinal + UInt64(offset))) - 1] = hash
            }
            ordinal += step
        }
    }

    /// The records of a log segment up to a commit.
    static func records(_ open: OpenSegment, through last: TXID) async throws -> [LogRecord] {
        var records: [LogRecord] = []
        var decompressor = Decompressor()
        for block in open.layout.blocks where block.kind == .meta && block.txid <= last {
            let stored = try await open.bytes(of: block)
            records += try open.segment.naming { () throws(SegmentError) in
                try LogBlocks.decodeMeta(stored, block, using: &decompressor)
            }
        }
        return records
    }

    private mutating func apply(_ level: LevelIndex, of open: OpenSegment) {
        let footer = open.layout.footer
        resize(to: Int(max(footer.pageCountAfter, open.layout.header.pageCountBefore)))
        for entry in level.whole { hashes[Int(entry.page.rawValue) - 1] = entry.resultHash }
        resize(to: Int(footer.pageCountAfter))
        digest = footer.digestAfter
        time = footer.lastTime
    }

    private mutating func resize(to count: Int) {
        if hashes.count > count { hashes.removeLast(hashes.count - count) }
        // Of pages that a commit or level adds only the lock page is never listed.
        if hashes.count < count { hashes += repeatElement(0, count: count - hashes.count) }
    }

    private mutating func apply(
        _ records: [LogRecord],
        of open: OpenSegment,
        _ commits: ClosedRange<TXID>
    ) throws {
        var checker = LogRecordChecker(header: open.layout.header)
        // That the numbers of a commit's pages are possible shows at its record.
        var pending: [PageEntry] = []
        for record in records {
            let txid = checker.txid
            if txid > commits.upperBound { break }
            try open.segment.naming { () throws(SegmentError) in
                if commits.contains(txid), txid > slices?.last ?? .zero {
                    try checker.checkPageCount(before: pageCount)
                }
                try checker.check(record)
            }
            guard commits.contains(txid) else { continue }
            switch record {
            case .page(let entry): pending.append(entry)
            case .commit(let commit):
                take(pending, of: txid)
                pending.removeAll(keepingCapacity: true)
                guard txid >= slices?.last ?? .zero else { continue }
                resize(to: Int(commit.pageCount))
                digest = commit.digest
                time = commit.seenAt
            }
        }
    }

    private mutating func take(_ entries: [PageEntry], of txid: TXID) {
        for entry in entries
        where txid > slices?.txid(of: entry.page) ?? .zero && !entry.change.isRemoval {
            let number = Int(entry.page.rawValue)
            if number > hashes.count { resize(to: number) }
            hashes[number - 1] = entry.resultHash
        }
    }
}
