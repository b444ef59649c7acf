import BackupCatalog
import Bytes
import ObjectStorage
import PageHashing
import Platform
import SegmentFormat
import TestSupport

extension SeededGenerator {
    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
    mutating func chance(_ percent: Int) -> Bool { number(0...99) < percent }
}

/// A database in memory that makes random commits and stores them as an agent would; it remembers
/// what a restore has to give at every TXID.
struct SampleHistory {
    typealias Pages = [[UInt8]]

    let store: MemoryStore
    let pageSize: PageSize
    var random: SeededGenerator
    var pages: Pages = []
    var txid = TXID.zero
    var clock = Timestamp(milliseconds: 1_764_000_000_000)
    var writer = WriterTag(0x0123_4567_89ab_cdef)
    private(set) var generation = GenerationID(time: Timestamp(milliseconds: 0), random: 0)
    private(set) var link: SegmentChecksum?
    /// What a restore has to give.
    private(set) var states: [TXID: Pages] = [:]
    /// When each commit was seen.
    private(set) var times: [TXID: Timestamp] = [:]

    init(seed: UInt64, pageSize: Int = 512, pageCount: Int = 12, store: MemoryStore = .init()) {
        self.store = store
        self.pageSize = PageSize(pageSize)!
        random = SeededGenerator(seed: seed)
        for _ in 0..<pageCount { pages.append(page()) }
    }

    mutating func page() -> [UInt8] {
        var bytes = [UInt8](
            repeating: UInt8(truncatingIfNeeded: random.next()),
            count: pageSize.bytes
        )
        for _ in 0..<8 {
            bytes[random.number(0...pageSize.bytes - 1)] = UInt8(random.number(0...255))
        }
        return bytes
    }

    static func hash(_ content: [UInt8], _ page: Int) -> PageHash {
        content.withUnsafeBytes { PageHasher.hash($0, number: PageNumber(UInt32(page))) }
    }

    static func digest(_ pages: Pages) -> DatabaseDigest {
        pages.enumerated().reduce(.zero) { $0 &+ hash($1.element, $1.offset + 1) }
    }

    // MARK: - Generations

    /// Begins a generation; with a parent it goes on from the parent's state.
    mutating func beginGeneration(
        parent: GenerationRecord.Parent? = nil,
        host: String = "db1"
    ) async throws {
        clock.milliseconds += 1000
        generation = GenerationID(
            time: clock,
            random: UInt32(truncatingIfNeeded: random.next())
        )
        link = nil
        if parent == nil { txid = txid.next }
        let record = GenerationRecord(
            id: generation,
            created: clock,
            pageSize: pageSize,
            parent: parent,
            file: .init(name: "app.db", path: "/srv/app.db", mode: 0o640, uid: 0, gid: 0),
            host: host,
            highwater: "0.1.0",
            sqlite: "3.40.1",
            owner: nil
        )
        try await put("generation.json", record.encode())
        states[txid] = pages
        times[txid] = clock
    }

    func put(_ name: String, _ bytes: [UInt8]) async throws {
        try await store.put(ObjectKey("highwater-1/\(generation)/\(name)")!, bytes: bytes)
    }

    // MARK: - Snapshots

    /// Stores a snapshot of the state as it is.
    @discardableResult mutating func snapshot() async throws -> ObjectKey {
        let encoder = try SnapshotEncoder(
            header: SegmentHeader(
                kind: .snapshot,
                pageSize: pageSize,
                minTXID: txid,
                writer: writer,
                generation: generation
            ),
            time: clock,
            pageCount: UInt32(pages.count)
        )
        for (index, page) in pages.enumerated() {
            try page.withUnsafeBytes {
                try encoder.append(page: PageNumber(UInt32(index + 1)), content: $0)
            }
        }
        return try await finish(encoder, digest: nil)
    }

    /// Stores a snapshot in slices; between two slices `commits` make the database go on.
    @discardableResult mutating func slicedSnapshot(
        slices: Int,
        between commits: (inout SampleHistory) async throws -> Void
    ) async throws -> ObjectKey {
        let encoder = try SnapshotEncoder(
            header: SegmentHeader(
                kind: .snapshot,
                pageSize: pageSize,
                minTXID: txid,
                writer: writer,
                generation: generation
            ),
            time: clock,
            pageCount: UInt32(pages.count)
        )
        for slice in 0..<slices {
            let isLast = slice == slices - 1
            var room = isLast ? Int.max : max(1, pages.count / slices)
            while let next = encoder.nextPage, room > 0 {
                try pages[Int(next.rawValue) - 1].withUnsafeBytes {
                    try encoder.append(page: next, content: $0)
                }
                room -= 1
            }
            guard !isLast else { break }
            try await commits(&self)
            try encoder.beginSlice(txid: txid, pageCount: UInt32(pages.count), time: clock)
        }
        return try await finish(encoder, digest: Self.digest(pages))
    }

    private func finish(
        _ encoder: SnapshotEncoder,
        digest: DatabaseDigest?
    ) async throws -> ObjectKey {
        let finished = try encoder.finish(position: nil, slicedDigest: digest)
        let name = SegmentName(header: finished.header, footer: finished.footer)
        try await put(name.path, encoder.takeOutput())
        return ObjectKey("highwater-1/\(generation)/\(name.path)")!
    }

    // MARK: - Commits

    /// Makes commits and stores them in one log segment. `remember` false: the states are another
    /// history's.
    @discardableResult mutating func log(
        commits: Int,
        resizing: Bool = true,
        knowsHashes: Bool = true
    ) async throws -> ObjectKey {
        let header = SegmentHeader(
            kind: .log,
            pageSize: pageSize,
            minTXID: txid.next,
            writer: writer,
            link: link,
            digestBefore: Self.digest(pages),
            pageCountBefore: UInt32(pages.count),
            generation: generation
        )
        let encoder = try LogSegmentEncoder(header: header)
        for _ in 0..<commits {
            try commit(to: encoder, resizing: resizing, knowsHashes: knowsHashes)
        }
        let finished = try encoder.finish(position: nil)
        link = finished.footer.checksum
        let name = SegmentName(header: finished.header, footer: finished.footer)
        try await put(name.path, encoder.takeOutput())
        return ObjectKey("highwater-1/\(generation)/\(name.path)")!
    }

    private mutating func commit(
        to encoder: LogSegmentEncoder,
        resizing: Bool,
        knowsHashes: Bool
    ) throws {
        let before = pages
        if resizing, random.chance(20) {
            for _ in 0..<random.number(1...6) { pages.append(page()) }
        } else if resizing, random.chance(20), pages.count > 6 {
            pages.removeLast(random.number(1...5))
        }
        var changed = Set(before.count..<max(before.count, pages.count))
        for _ in 0..<random.number(0...4) { changed.insert(random.number(0...pages.count - 1)) }
        for index in changed.sorted() {
            try append(index, before: before, to: encoder, knowsHashes: knowsHashes)
        }
        for index in pages.count..<max(before.count, pages.count) {
            let keeps = random.chance(50)
            let entry = PageEntry(
                change: .removed(hasContent: keeps),
                page: PageNumber(UInt32(index + 1)),
                preHash: Self.hash(before[index], index + 1).low,
                resultHash: 0
            )
            try before[index].withUnsafeBytes {
                try encoder.append(page: entry, content: keeps ? $0 : nil)
            }
        }
        txid = txid.next
        clock.milliseconds += Int64(random.number(1...3) * 1000)
        states[txid] = pages
        times[txid] = clock
        try encoder.endCommit(
            CommitRecord(
                txid: txid,
                pageCount: UInt32(pages.count),
                digest: knowsHashes || random.chance(50) ? Self.digest(pages) : nil,
                notSeenAt: Timestamp(milliseconds: clock.milliseconds - 5),
                seenAt: clock
            )
        )
    }

    private mutating func append(
        _ index: Int,
        before: Pages,
        to encoder: LogSegmentEncoder,
        knowsHashes: Bool
    ) throws {
        let old = index < before.count ? before[index] : nil
        if old != nil {
            if random.chance(30) {
                pages[index] = page()
            } else {
                pages[index][random.number(0...pageSize.bytes - 1)] ^= UInt8(random.number(1...255))
            }
        }
        let new = pages[index]
        let isKnown = old != nil && (knowsHashes || random.chance(50))
        let isWhole = old == nil || !isKnown || random.chance(30)
        let entry = PageEntry(
            change: isWhole ? .whole : .xor,
            page: PageNumber(UInt32(index + 1)),
            isNew: old == nil,
            preHash: isKnown ? Self.hash(old!, index + 1).low : nil,
            resultHash: Self.hash(new, index + 1).low
        )
        let content = isWhole ? new : zip(old!, new).map { $0 ^ $1 }
        try content.withUnsafeBytes { try encoder.append(page: entry, content: $0) }
    }

    /// The bytes of the database file at a TXID.
    func file(at txid: TXID) -> [UInt8] { Array((states[txid] ?? []).joined()) }
}
