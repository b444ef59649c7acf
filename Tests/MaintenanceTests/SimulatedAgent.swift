import BackupCatalog
import Bytes
import ObjectStorage
import PageHashing
import SegmentFormat
import TestSupport

/// A database in memory that is backed up as an agent would do it.
final class SimulatedAgent {
    static let pageSize = PageSize(512)!

    let record: GenerationRecord
    let store: MemoryStore
    let layout = CatalogLayout()
    var pages: [[UInt8]]
    var txid: TXID
    var writer: WriterTag
    var link: SegmentChecksum?
    var pending: [(record: CommitRecord, pages: [(PageEntry, [UInt8]?)])] = []
    /// Pages that this process has seen; others are stored whole, their hash before unknown.
    var seen: Set<Int> = []
    var knowsAll = true
    /// Digest by TXID: the truth.
    var digests: [TXID: DatabaseDigest] = [:]
    /// When each state was first there.
    var times: [TXID: Timestamp] = [:]
    /// All pages by TXID, for children that begin in the past.
    var states: [TXID: [[UInt8]]] = [:]
    private var shippedCount: UInt32 = 0
    private var shippedDigest = DatabaseDigest.zero
    /// States that no object tells of.
    var lost: Set<TXID> = []
    private(set) var lastSegment: (bytes: [UInt8], finished: FinishedSegment)?

    init(
        _ record: GenerationRecord,
        store: MemoryStore,
        pages: [[UInt8]],
        txid: TXID,
        random: inout SeededGenerator
    ) async throws {
        self.record = record
        self.store = store
        self.pages = pages
        self.txid = txid
        writer = WriterTag(random.next())
        remember(record.created)
        shippedCount = UInt32(pages.count)
        shippedDigest = digest
        try await store.put(layout.record(of: record.id), bytes: record.encode())
    }

    var digest: DatabaseDigest {
        pages.enumerated().reduce(.zero) { $0 &+ Self.hash($1.element, $1.offset + 1) }
    }

    static func hash(_ content: [UInt8], _ page: Int) -> PageHash {
        content.withUnsafeBytes { PageHasher.hash($0, number: PageNumber(UInt32(page))) }
    }

    private func remember(_ time: Timestamp) {
        digests[txid] = digest
        times[txid] = time
        states[txid] = pages
    }

    /// A commit that changes some pages, and grows or shrinks the database now and then.
    func commit(at time: Timestamp, random: inout SeededGenerator) {
        let before = pages
        if Int.random(in: 0..<6, using: &random) == 0, pages.count > 3 {
            pages.removeLast(Int.random(in: 1...2, using: &random))
        }
        let kept = pages.count
        for _ in 0..<max(0, Int.random(in: -3...2, using: &random)) {
            pages.append((0..<512).map { _ in UInt8.random(in: 0...3, using: &random) })
        }
        var changed = Set(kept..<pages.count)
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            let index = Int.random(in: 0..<pages.count, using: &random)
            pages[index][Int.random(in: 0..<512, using: &random)] ^= 0x55
            changed.insert(index)
        }
        txid = txid.next
        var entries: [(PageEntry, [UInt8]?)] = []
        for index in changed.sorted() {
            entries.append(entry(index, before: index < before.count ? before[index] : nil))
            seen.insert(index)
        }
        for index in pages.count..<max(before.count, pages.count) {
            let hash = Self.hash(before[index], index + 1).low
            let knows = knowsAll || seen.contains(index)
            entries.append(
                (
                    PageEntry(
                        change: .removed(hasContent: false),
                        page: PageNumber(UInt32(index + 1)),
                        preHash: knows ? hash : nil,
                        resultHash: 0
                    ), nil
                )
            )
            seen.remove(index)
        }
        remember(time)
        pending.append(
            (
                CommitRecord(
                    txid: txid,
                    pageCount: UInt32(pages.count),
                    digest: digest,
                    notSeenAt: Timestamp(milliseconds: time.milliseconds - 1),
                    seenAt: time
                ), entries
            )
        )
    }

    private func entry(_ index: Int, before: [UInt8]?) -> (PageEntry, [UInt8]?) {
        let number = index + 1
        let isXOR = before != nil && (knowsAll || seen.contains(index))
        let content = isXOR ? zip(before!, pages[index]).map { $0 ^ $1 } : pages[index]
        let entry = PageEntry(
            change: isXOR ? .xor : .whole,
            page: PageNumber(UInt32(number)),
            isNew: before == nil,
            preHash: isXOR ? before.map { Self.hash($0, number).low } : nil,
            resultHash: Self.hash(pages[index], number).low
        )
        return (entry, content)
    }

    /// Stores what was committed since the last time; `loses` throws the segment away instead.
    func ship(loses: Bool = false) async throws {
        guard let first = pending.first else { return }
        let encoder = try LogSegmentEncoder(
            header: SegmentHeader(
                kind: .log,
                pageSize: Self.pageSize,
                minTXID: first.record.txid,
                writer: writer,
                link: link,
                digestBefore: shippedDigest,
                pageCountBefore: shippedCount,
                generation: record.id
            )
        )
        for commit in pending {
            for (entry, content) in commit.pages {
                if let content {
                    try content.withUnsafeBytes { try encoder.append(page: entry, content: $0) }
                } else {
                    try encoder.append(page: entry, content: nil)
                }
            }
            try encoder.endCommit(commit.record)
        }
        let finished = try encoder.finish(position: nil)
        let bytes = encoder.takeOutput()
        link = finished.footer.checksum
        shippedDigest = digest
        shippedCount = UInt32(pages.count)
        pending = []
        lastSegment = (bytes, finished)
        guard !loses else { return }
        try await store.put(layout.segment(finished.name, of: record.id), bytes: bytes)
    }

    /// Stores a snapshot of the state now.
    func snapshot(at time: Timestamp) async throws {
        let encoder = try SnapshotEncoder(
            header: SegmentHeader(
                kind: .snapshot,
                pageSize: Self.pageSize,
                minTXID: txid,
                writer: writer,
                generation: record.id
            ),
            time: time,
            pageCount: UInt32(pages.count)
        )
        for (index, page) in pages.enumerated() {
            try page.withUnsafeBytes {
                try encoder.append(page: PageNumber(UInt32(index + 1)), content: $0)
            }
        }
        let finished = try encoder.finish(position: nil)
        let key = try layout.segment(finished.name, of: record.id)
        try await store.put(key, bytes: encoder.takeOutput())
    }

    /// The process dies and another one goes on: it may send the last segment again.
    func restart(resends: Bool, random: inout SeededGenerator) async throws {
        pending = []
        let last = lastSegment
        writer = WriterTag(random.next())
        knowsAll = false
        seen = []
        guard resends, let last else { return }
        var header = last.finished.header
        header.writer = writer
        let forged = try Self.rewrite(last.bytes, header: header)
        try await store.put(layout.segment(forged.1.name, of: record.id), bytes: forged.0)
        if Bool.random(using: &random) { link = forged.1.footer.checksum }
    }

    /// The same commits under another tag.
    private static func rewrite(
        _ bytes: [UInt8],
        header: SegmentHeader
    ) throws -> ([UInt8], FinishedSegment) {
        let layout = try SegmentLayout(segment: bytes)
        let encoder = try LogSegmentEncoder(header: header)
        var content: [UInt8] = []
        func stored(_ block: BlockEntry) -> [UInt8] {
            Array(bytes[Int(block.range.lowerBound)..<Int(block.range.upperBound)])
        }
        for block in layout.blocks where block.kind == .content {
            content += try LogBlocks.decodeContent(stored(block), block)
        }
        var next = 0
        for block in layout.blocks where block.kind == .meta {
            for record in try LogBlocks.decodeMeta(stored(block), block) {
                switch record {
                case .page(let entry) where entry.change.hasContent:
                    let page = Array(content[next..<next + 512])
                    next += 512
                    try page.withUnsafeBytes { try encoder.append(page: entry, content: $0) }
                case .page(let entry): try encoder.append(page: entry, content: nil)
                case .commit(let commit): try encoder.endCommit(commit)
                }
            }
        }
        let finished = try encoder.finish(position: nil)
        return (encoder.takeOutput(), finished)
    }
}
