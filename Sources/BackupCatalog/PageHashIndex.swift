package import Bytes
import ObjectStorage
package import SegmentFormat
import Zstandard

/// The page hashes of one state in the store, read from the indexes of its segments: no page is
/// fetched. What an agent needs to find out which pages differ from its database (DESIGN §7).
package struct PageHashIndex: Sendable {
    /// The low 64 bits of the hash of page n at place n − 1; of the lock page zero.
    package private(set) var low: [UInt64] = []
    /// The last commit up to which the indexes were applied.
    package private(set) var txid: TXID
    /// Where each of the states that were looked for was last recorded; nil when nowhere.
    package private(set) var matches: [Match?]

    /// The generation whose segments are applied now.
    fileprivate var generation: GenerationID
    private let wanted: [Wanted]
    /// Pages of the commit whose record comes next: that their numbers are possible shows there.
    private var pending: [PageEntry] = []
    /// Pages of a sliced snapshot, by the slice that they belong to: the first page of each block.
    private var slices: [(firstPage: UInt32, txid: TXID)] = []

    /// A state that is looked for among the recorded ones.
    package struct Wanted: Sendable {
        /// Its digest.
        package var digest: DatabaseDigest
        /// Its page count.
        package var pageCount: UInt32

        /// A state.
        package init(digest: DatabaseDigest, pageCount: UInt32) {
            self.digest = digest
            self.pageCount = pageCount
        }
    }

    /// A recorded state.
    package struct Match: Sendable {
        /// The generation that has it, not one that only goes on from it.
        package let generation: GenerationID
        /// The commit after which it was recorded.
        package let txid: TXID
        /// When that commit was seen.
        package let time: Timestamp
    }

    fileprivate init(of generation: GenerationID, at txid: TXID, wanted: [Wanted]) {
        self.generation = generation
        self.txid = txid
        self.wanted = wanted
        matches = wanted.map { _ in nil }
    }

    /// Pages in the state.
    package var pageCount: UInt32 { UInt32(low.count) }

    /// The low half of the state's digest: the sum of the hashes.
    package var digestLow: UInt64 { low.reduce(0, &+) }

    /// Applies the commits of a log segment that is not in the store yet.
    package mutating func apply(segment bytes: [UInt8]) throws(SegmentError) {
        let layout = try SegmentLayout(segment: bytes)
        var checker = LogRecordChecker(header: layout.header)
        var decompressor = Decompressor()
        for block in layout.blocks where block.kind == .meta {
            let stored = bytes[Int(block.range.lowerBound)..<Int(block.range.upperBound)]
            for record in try LogBlocks.decodeMeta(stored, block, using: &decompressor) {
                try checkPageCount(checker)
                let belongs = checker.txid
                try checker.check(record)
                if belongs > txid { take(record, of: belongs) }
            }
        }
    }

    /// Checks that the next commit goes on from this state. While a sliced snapshot becomes one,
    /// it has pages of later commits.
    fileprivate func checkPageCount(_ checker: LogRecordChecker) throws(SegmentError) {
        guard checker.txid > max(txid, slices.last?.txid ?? .zero) else { return }
        try checker.checkPageCount(before: pageCount)
    }

    fileprivate mutating func take(_ record: LogRecord, of commit: TXID) {
        switch record {
        case .page(let entry): pending.append(entry)
        case .commit(let record):
            for entry in pending { take(entry, of: commit) }
            pending.removeAll(keepingCapacity: pending.capacity <= 4096)
            end(record)
        }
    }

    private func slice(of page: PageNumber) -> TXID {
        slices.last { $0.firstPage <= page.rawValue }?.txid ?? .zero
    }

    fileprivate mutating func take(block: BlockEntry, hashes: [UInt64], lockPage: PageNumber) {
        if slices.last?.txid != block.txid { slices.append((UInt32(block.first), block.txid)) }
        var number = UInt32(block.first)
        for hash in hashes {
            if PageNumber(number) == lockPage { number += 1 }
            while low.count < Int(number) { low.append(0) }
            low[Int(number) - 1] = hash
            number += 1
        }
    }

    private mutating func take(_ entry: PageEntry, of commit: TXID) {
        guard commit > slice(of: entry.page), !entry.change.isRemoval else { return }
        let place = Int(entry.page.rawValue) - 1
        while low.count <= place { low.append(0) }
        low[place] = entry.resultHash
    }

    private mutating func end(_ commit: CommitRecord) {
        let count = Int(commit.pageCount)
        if low.count > count { low.removeLast(low.count - count) }
        while low.count < count { low.append(0) }
        txid = commit.txid
        note(commit.digest, commit.pageCount, at: commit.txid, time: commit.seenAt)
    }

    fileprivate mutating func finishSnapshot(_ footer: SegmentFooter) {
        while low.count < Int(footer.pageCountAfter) { low.append(0) }
        note(footer.digestAfter, footer.pageCountAfter, at: footer.maxTXID, time: footer.lastTime)
    }

    private mutating func note(
        _ digest: DatabaseDigest?,
        _ pageCount: UInt32,
        at txid: TXID,
        time: Timestamp
    ) {
        for (place, wanted) in wanted.enumerated()
        where digest == wanted.digest && pageCount == wanted.pageCount {
            matches[place] = Match(generation: generation, txid: txid, time: time)
        }
    }
}

extension Catalog {
    /// The page hashes of the state at `txid`, and where the `wanted` states were last recorded on
    /// the way to it.
    ///
    /// - Throws: `noBase` when the state cannot be restored, `damaged`, and `StoreError`.
    package func pageHashes(
        of generation: Generation,
        at txid: TXID,
        searching wanted: [PageHashIndex.Wanted]
    ) async throws -> PageHashIndex {
        if let parent = generation.record.parent, txid < parent.txid {
            let before = try await self.generation(parent.generation)
            return try await pageHashes(of: before, at: txid, searching: wanted)
        }
        let timeline = try await timeline(of: generation)
        guard let run = timeline.run(holding: txid) else {
            throw CatalogError(
                .noBase,
                object: generation.id.text,
                "the state at TXID \(txid) cannot be restored"
            )
        }
        var index: PageHashIndex
        if let base = run.snapshots.last(where: { $0.name.maxTXID <= txid }) {
            index = PageHashIndex(of: generation.id, at: base.name.minTXID, wanted: wanted)
            try await read(snapshot: base, into: &index, pageSize: generation.record.pageSize)
        } else if run.beginsWithParent, let parent = generation.record.parent {
            let before = try await self.generation(parent.generation)
            index = try await pageHashes(of: before, at: parent.txid, searching: wanted)
            index.generation = generation.id
        } else {
            throw CatalogError(
                .noBase,
                object: generation.id.text,
                "no snapshot serves TXID \(txid)"
            )
        }
        let reached = index.txid
        let logs = run.slices.filter {
            $0.txids.upperBound > reached && $0.txids.lowerBound <= txid
        }
        try await read(logs: logs, through: txid, into: &index)
        guard index.txid >= txid else {
            throw CatalogError(
                .damaged,
                object: generation.id.text,
                "the segments end at TXID \(index.txid), not at \(txid)"
            )
        }
        return index
    }

    private func read(
        snapshot: StoredSegment,
        into index: inout PageHashIndex,
        pageSize: PageSize
    ) async throws {
        let fetcher = SegmentFetcher(snapshot, from: store)
        let layout = try await fetcher.layout()
        var decompressor = Decompressor()
        for block in layout.blocks where block.kind == .meta {
            let bytes = try await fetcher.bytes(in: block.range)
            let hashes = try snapshot.naming { () throws(SegmentError) in
                try SnapshotBlocks.decodeMeta(bytes[...], block, using: &decompressor)
            }
            index.take(block: block, hashes: hashes, lockPage: pageSize.lockPage)
        }
        if snapshot.name.minTXID == snapshot.name.maxTXID {
            index.finishSnapshot(layout.footer)
        }
    }

    /// Log segments that are fetched before it is their turn.
    private static var segmentsAhead: Int { 16 }
    /// The longest segment that is fetched in one go, in bytes, and not its META blocks alone.
    private static var wholeBytesMax: UInt64 { 256 << 10 }

    /// Reads log segments in their order, with the next ones on their way.
    private func read(
        logs: [LogSlice],
        through txid: TXID,
        into index: inout PageHashIndex
    ) async throws {
        try await withThrowingTaskGroup(of: (place: Int, body: [UInt8]?).self) { group in
            var bodies: [Int: [UInt8]?] = [:]
            var begun = 0
            for (place, slice) in logs.enumerated() {
                while begun < logs.count, begun < place + Self.segmentsAhead {
                    let (number, segment) = (begun, logs[begun].segment)
                    group.addTask { (number, try await whole(segment)) }
                    begun += 1
                }
                while bodies[place] == nil, let fetched = try await group.next() {
                    bodies[fetched.place] = .some(fetched.body)
                }
                try await read(
                    log: slice.segment,
                    whole: bodies.removeValue(forKey: place) ?? nil,
                    through: min(txid, slice.txids.upperBound),
                    into: &index
                )
            }
        }
    }

    /// The segment's bytes, if it is a short one.
    private func whole(_ segment: StoredSegment) async throws -> [UInt8]? {
        guard segment.size <= Self.wholeBytesMax else { return nil }
        return try await SegmentFetcher(segment, from: store).bytes(in: 0..<segment.size)
    }

    private func read(
        log: StoredSegment,
        whole: [UInt8]?,
        through last: TXID,
        into index: inout PageHashIndex
    ) async throws {
        let fetcher = SegmentFetcher(log, from: store)
        let layout = try await fetcher.layout(of: whole)
        var checker = LogRecordChecker(header: layout.header)
        var decompressor = Decompressor()
        for block in layout.blocks where block.kind == .meta {
            let bytes: ArraySlice<UInt8>
            if let whole {
                bytes = whole[Int(block.range.lowerBound)..<Int(block.range.upperBound)]
            } else {
                bytes = try await fetcher.bytes(in: block.range)[...]
            }
            let records = try log.naming { () throws(SegmentError) in
                try LogBlocks.decodeMeta(bytes, block, using: &decompressor)
            }
            for record in records {
                let belongs = checker.txid
                if belongs > last { return }
                try log.naming { () throws(SegmentError) in
                    try index.checkPageCount(checker)
                    try checker.check(record)
                }
                if belongs > index.txid { index.take(record, of: belongs) }
            }
        }
    }
}
