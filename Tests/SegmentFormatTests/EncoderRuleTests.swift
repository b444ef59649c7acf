import Bytes
import PageHashing
import SegmentFormat
import TestSupport
import Testing

/// What the encoders refuse, so that no segment is written that a restore would refuse.
@Suite struct EncoderRuleTests {
    private static let size = PageSize(512)!
    private static let content = [UInt8](repeating: 1, count: 512)

    private static func encoder(pageCount: UInt32) throws -> LogSegmentEncoder {
        try LogSegmentEncoder(
            header: SegmentHeader(
                kind: .log,
                pageSize: size,
                minTXID: TXID(5),
                writer: Sample.writer,
                pageCountBefore: pageCount,
                generation: Sample.generation
            )
        )
    }

    private static func entry(_ page: UInt32, isNew: Bool = false) -> PageEntry {
        PageEntry(change: .whole, page: PageNumber(page), isNew: isNew, preHash: nil, resultHash: 1)
    }

    private static func removal(_ page: UInt32) -> PageEntry {
        PageEntry(
            change: .removed(hasContent: false),
            page: PageNumber(page),
            preHash: 1,
            resultHash: 0
        )
    }

    private static func end(_ encoder: LogSegmentEncoder, _ count: UInt32, txid: UInt64 = 5) throws
    {
        let time = Timestamp(milliseconds: 9)
        try encoder.endCommit(
            CommitRecord(
                txid: TXID(txid),
                pageCount: count,
                digest: nil,
                notSeenAt: time,
                seenAt: time
            )
        )
    }

    private static func add(_ entries: [PageEntry], to encoder: LogSegmentEncoder) throws {
        for entry in entries {
            if entry.change.hasContent {
                try content.withUnsafeBytes { try encoder.append(page: entry, content: $0) }
            } else {
                try encoder.append(page: entry, content: nil)
            }
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var before: UInt32
        var entries: [PageEntry]
        var after: UInt32
        var isRight = false
        var testDescription: String { name }
    }

    static let cases = [
        Case(name: "nothing", before: 2, entries: [], after: 2, isRight: true),
        Case(name: "a change", before: 2, entries: [entry(2)], after: 2, isRight: true),
        Case(
            name: "growth, any order",
            before: 2,
            entries: [entry(4, isNew: true), entry(1), entry(3, isNew: true)],
            after: 4,
            isRight: true
        ),
        Case(
            name: "shrinking, any order",
            before: 4,
            entries: [removal(3), entry(1), removal(4)],
            after: 2,
            isRight: true
        ),
        Case(name: "page zero", before: 2, entries: [entry(0)], after: 2),
        Case(name: "growth lacks a page", before: 2, entries: [entry(4, isNew: true)], after: 4),
        Case(name: "growth lacks all pages", before: 2, entries: [], after: 4),
        Case(name: "new page not marked", before: 2, entries: [entry(3)], after: 3),
        Case(name: "old page marked new", before: 2, entries: [entry(2, isNew: true)], after: 2),
        Case(name: "new page, same count", before: 2, entries: [entry(3, isNew: true)], after: 2),
        Case(name: "page beyond the count", before: 4, entries: [entry(4), removal(3)], after: 3),
        Case(name: "shrink lacks a page", before: 4, entries: [removal(4)], after: 2),
        Case(
            name: "shrink lists a kept page",
            before: 4,
            entries: [removal(2), removal(4)],
            after: 2
        ),
        Case(name: "removal without shrink", before: 4, entries: [removal(4)], after: 4),
        Case(name: "removal beyond the count", before: 4, entries: [removal(5)], after: 4),
        Case(
            name: "the lock page",
            before: 2_097_153,
            entries: [entry(2_097_153)],
            after: 2_097_153
        ),
    ]

    @Test(arguments: cases)
    func `a commit that breaks a rule is refused`(_ rule: Case) throws {
        let encoder = try Self.encoder(pageCount: rule.before)
        func write() throws {
            try Self.add(rule.entries, to: encoder)
            try Self.end(encoder, rule.after)
            _ = try encoder.finish(position: nil)
        }
        if rule.isRight { return try write() }
        let error = try #require(throws: SegmentError.self) { try write() }
        #expect(error.code == .misuse)
        // Once it has failed, nothing more is taken: a part of a segment must never be stored.
        #expect(throws: SegmentError.self) { try Self.end(encoder, rule.before) }
        #expect(throws: SegmentError.self) { try encoder.finish(position: nil) }
    }

    @Test func `TXIDs are consecutive and a segment ends after a commit`() throws {
        var encoder = try Self.encoder(pageCount: 2)
        #expect(throws: SegmentError.self) { try Self.end(encoder, 2, txid: 6) }
        encoder = try Self.encoder(pageCount: 2)
        #expect(throws: SegmentError.self) { try encoder.finish(position: nil) }
        encoder = try Self.encoder(pageCount: 2)
        try Self.end(encoder, 2, txid: 5)
        try Self.end(encoder, 2, txid: 6)
        try Self.add([Self.entry(1)], to: encoder)
        #expect(throws: SegmentError.self) { try encoder.finish(position: nil) }
        encoder = try Self.encoder(pageCount: 2)
        try Self.end(encoder, 2, txid: 5)
        #expect(throws: SegmentError.self) { try Self.end(encoder, 2, txid: 7) }
    }

    @Test func `content must be there, and of the page's size`() throws {
        for count in [0, 511, 513] {
            let encoder = try Self.encoder(pageCount: 2)
            let bytes = [UInt8](repeating: 0, count: count)
            #expect(throws: SegmentError.self) {
                try bytes.withUnsafeBytes {
                    try encoder.append(page: Self.entry(1), content: $0)
                }
            }
        }
        let encoder = try Self.encoder(pageCount: 2)
        #expect(throws: SegmentError.self) { try encoder.append(page: Self.entry(1), content: nil) }
    }

    @Test func `a page listed twice in a commit is refused by readers`() throws {
        let encoder = try Self.encoder(pageCount: 2)
        let hash = SampleDatabase.hash(Self.content, 1).low
        let entry = PageEntry(
            change: .whole,
            page: PageNumber(1),
            preHash: nil,
            resultHash: hash
        )
        try Self.add([entry, entry], to: encoder)
        try Self.end(encoder, 2)
        _ = try encoder.finish(position: nil)
        let bytes = encoder.takeOutput()
        let error = try #require(throws: SegmentError.self) { try SegmentVerifier.verify(bytes) }
        #expect(error.message.contains("twice"))
    }

    @Test func `hashes that do not add up to the digest are refused by readers`() throws {
        var random = SeededGenerator(seed: 4)
        var database = SampleDatabase(pageSize: 512, pageCount: 4, txid: 9, using: &random)
        let header = Sample.logHeader(after: database)
        var commit = database.commit(changing: 0, resize: 1, using: &random)
        commit.record.digest = commit.record.digest.map { $0 &+ Hash128(low: 1, high: 0) }
        let bytes = try Sample.encode([commit], header: header).bytes
        #expect(throws: SegmentError.self) { try SegmentVerifier.verify(bytes) }
    }

    @Test func `snapshots take their pages in order, all of them, and once`() throws {
        let header = SegmentHeader(
            kind: .snapshot,
            pageSize: Self.size,
            minTXID: TXID(5),
            writer: Sample.writer,
            generation: Sample.generation
        )
        let time = Timestamp(milliseconds: 1)
        for pages: [UInt32] in [[2], [1, 1], [1, 3], [1, 2, 3], [1], []] {
            let encoder = try SnapshotEncoder(header: header, time: time, pageCount: 2)
            #expect(throws: SegmentError.self) {
                for page in pages {
                    try Self.content.withUnsafeBytes {
                        try encoder.append(page: PageNumber(page), content: $0)
                    }
                }
                _ = try encoder.finish(position: nil)
            }
        }
    }

    @Test func `a workspace serves one encoder at a time`() throws {
        let workspace = SegmentWorkspace()
        var header = Sample.logHeader(
            after: {
                var random = SeededGenerator(seed: 1)
                return SampleDatabase(pageSize: 512, pageCount: 1, txid: 1, using: &random)
            }()
        )
        header.minTXID = TXID(5)
        let first = try LogSegmentEncoder(header: header, workspace: workspace)
        #expect(throws: SegmentError.self) {
            try LogSegmentEncoder(header: header, workspace: workspace)
        }
        try Self.end(first, 1)
        _ = try first.finish(position: nil)
        // The next may begin while the first still holds its output.
        let second = try LogSegmentEncoder(header: header, workspace: workspace)
        #expect(first.takeOutput().count > 288 && second.takeOutput().count == 144)
        _ = (first, second)
    }

    @Test func `headers that make no sense are refused`() throws {
        let right = try SegmentLayout(segment: Sample.snapshot(smallest).bytes).header
        for change in [
            { (h: inout SegmentHeader) in h.level = 1 },
            { h in h.link = .zero },
            { h in h.digestBefore = .zero },
            { h in h.pageCountBefore = 1 },
            { h in h.kind = .log },
            { h in h.minTXID = TXID(1 << 63) },
        ] {
            var header = right
            change(&header)
            #expect(throws: SegmentError.self) {
                try SnapshotEncoder(
                    header: header,
                    time: Timestamp(milliseconds: 1),
                    pageCount: 1
                )
            }
        }
    }

    private var smallest: SampleDatabase {
        var random = SeededGenerator(seed: 1)
        return SampleDatabase(pageSize: 512, pageCount: 1, txid: 1, using: &random)
    }
}
