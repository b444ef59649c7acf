import Bytes
import PageHashing
import SegmentFormat
import TestSupport
import Testing
import Zstandard

/// Segments whose checksums are all right and whose numbers lie.
@Suite struct HostileTests {
    private static func log() throws -> [UInt8] {
        var random = SeededGenerator(seed: 1)
        var database = SampleDatabase(pageSize: 512, pageCount: 4, txid: 9, using: &random)
        let header = Sample.logHeader(after: database)
        let commits = [
            database.commit(changing: 2, using: &random),
            database.commit(changing: 1, resize: 2, using: &random),
            database.commit(changing: 1, resize: -1, using: &random),
        ]
        return try Sample.encode(commits, header: header).bytes
    }

    private static func snapshot() throws -> [UInt8] {
        var random = SeededGenerator(seed: 2)
        let database = SampleDatabase(pageSize: 512, pageCount: 3, txid: 9, using: &random)
        return try Sample.snapshot(database).bytes
    }

    private static func segments() throws -> [[UInt8]] {
        [try log(), try snapshot(), try MergedSample.pack(), try MergedSample.level().bytes]
    }

    private static let values: [UInt64] = [
        0, 1, 2, 3, 143, 144, 512, 65535, 65536, 1 << 20, (1 << 20) + 1, 1 << 31, (1 << 31) - 1,
        (1 << 32) - 1, (1 << 32) - 2, 1 << 32, 1 << 48, (1 << 63) - 1, 1 << 63, .max, .max - 1,
        .max - 143, .max - 288,
    ]

    /// Fields that may hold anything, and the header's flags: a link may be there or not.
    private static let freeHeader = [24..<32, 32..<64, 68..<100]
    private static let freeFooter = [48..<64, 72..<92]
    /// What a level alone cannot prove: its level and first TXID, and the window's times.
    private static let freeInLevel = (header: [8..<12, 16..<24], footer: [32..<48])

    private static func isFree(header offset: Int, _ kind: SegmentKind) -> Bool {
        let ranges = freeHeader + (kind == .level ? freeInLevel.header : [])
        return ranges.contains { $0.contains(offset) }
    }

    private static func isFree(footer offset: Int, _ kind: SegmentKind) -> Bool {
        let ranges = freeFooter + (kind == .level ? freeInLevel.footer : [])
        return ranges.contains { $0.contains(offset) }
    }

    @Test func `honest forgeries pass`() throws {
        for whole in try Self.segments() {
            #expect(try Forgery(whole).sealed() == whole)
        }
    }

    @Test func `no number in header or footer is believed`() throws {
        for whole in try Self.segments() {
            let kind = try SegmentLayout(segment: whole).header.kind
            for value in Self.values {
                for offset in stride(from: 0, to: 136, by: 4) {
                    let mayPass = Self.isFree(header: offset, kind)
                    var forged = try Forgery(whole)
                    set(&forged.header, offset, UInt32(truncatingIfNeeded: value))
                    check(forged, whole, mayPass: mayPass)
                    guard offset % 8 == 0, offset < 128 else { continue }
                    forged = try Forgery(whole)
                    set(&forged.header, offset, value)
                    check(forged, whole, mayPass: mayPass)
                }
                for offset in stride(from: 0, to: 112, by: 4) where !(16..<24).contains(offset) {
                    let mayPass = Self.isFree(footer: offset, kind)
                    var forged = try Forgery(whole)
                    set(&forged.footer, offset, UInt32(truncatingIfNeeded: value))
                    check(forged, whole, mayPass: mayPass)
                    guard offset % 8 == 0 else { continue }
                    forged = try Forgery(whole)
                    set(&forged.footer, offset, value)
                    check(forged, whole, mayPass: mayPass)
                }
            }
        }
    }

    @Test func `no number in the block table is believed`() throws {
        for whole in try Self.segments() {
            let length = try Forgery(whole).table.count
            for value in Self.values {
                for offset in stride(from: 0, to: length, by: 4) {
                    var forged = try Forgery(whole)
                    set(&forged.table, offset, UInt32(truncatingIfNeeded: value))
                    check(forged, whole)
                    guard offset % 8 == 0 else { continue }
                    forged = try Forgery(whole)
                    set(&forged.table, offset, value)
                    check(forged, whole)
                }
            }
        }
    }

    @Test func `no number in a record is believed`() throws {
        let whole = try Self.log()
        let layout = try SegmentLayout(segment: whole)
        let meta = try #require(layout.blocks.firstIndex { $0.kind == .meta })
        let raw = try Forgery(whole).raw(meta)
        var passed: [Int] = []
        for value in Self.values {
            for offset in stride(from: 0, to: raw.count - 8, by: 4) {
                for size in [1, 4, 8] {
                    var changed = raw
                    if size == 1 { changed[offset] = UInt8(truncatingIfNeeded: value) }
                    if size == 4 { set(&changed, offset, UInt32(truncatingIfNeeded: value)) }
                    if size == 8 { set(&changed, offset, value) }
                    guard changed != raw else { continue }
                    var forged = try Forgery(whole)
                    try forged.replace(meta, raw: changed)
                    if verifies(forged.sealed()) { passed.append(offset) }
                }
            }
        }
        // Times, frame numbers, high digest halves and the hashes of deltas cannot be checked here;
        // everything else is. The bytes still are what the (forged) file says.
        #expect(Set(passed).count < raw.count / 8, "\(Set(passed).sorted())")
    }

    @Test func `a frame that expands further than its entry says is refused`() throws {
        for whole in try Self.segments() {
            let layout = try SegmentLayout(segment: whole)
            for index in layout.blocks.indices {
                var compressor = Compressor(level: 19)
                let bomb = try compressor.compress([UInt8](repeating: 0, count: 64 << 20))
                var forged = try Forgery(whole)
                try forged.store(index, bomb)
                #expect(!verifies(forged.sealed()))
                let honest = forged.blocks[index]
                let skippable: [UInt8] = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]
                let stored = try Forgery(whole).blocks[index]
                for other in [skippable + stored, stored + skippable, stored + stored, [0]] {
                    #expect(other != honest)
                    try forged.store(index, other)
                    #expect(!verifies(forged.sealed()))
                }
            }
        }
    }

    @Test func `swapped pages are noticed, though a sum of unseeded hashes would not`() throws {
        let whole = try Self.snapshot()
        let layout = try SegmentLayout(segment: whole)
        let content = try #require(layout.blocks.firstIndex { $0.kind == .content })
        var forged = try Forgery(whole)
        let raw = try forged.raw(content)
        try forged.replace(content, raw: Array(raw[512..<1024] + raw[..<512] + raw[1024...]))
        #expect(!verifies(forged.sealed()))
    }

    @Test func `content or records too many or too few are refused`() throws {
        let whole = try Self.log()
        let layout = try SegmentLayout(segment: whole)
        let content = try #require(layout.blocks.firstIndex { $0.kind == .content })
        let meta = try #require(layout.blocks.firstIndex { $0.kind == .meta })
        let block = layout.blocks[content]
        let raw = try Forgery(whole).raw(content)
        var forged = try Forgery(whole)
        try forged.replace(content, raw: raw + raw[..<512], count: block.count + 1)
        #expect(!verifies(forged.sealed()))
        try forged.replace(content, raw: raw.dropLast(512), count: block.count - 1)
        #expect(!verifies(forged.sealed()))
        forged = try Forgery(whole)
        let records = try forged.raw(meta)
        try forged.replace(meta, raw: records.dropLast(56), count: layout.blocks[meta].count - 1)
        #expect(!verifies(forged.sealed()))
        try forged.replace(meta, raw: records + records.suffix(56))
        #expect(!verifies(forged.sealed()))
        try forged.replace(meta, raw: records + [0])
        #expect(!verifies(forged.sealed()))
    }

    /// Expects a typed error, or, where the field may hold anything, at worst other values of it.
    private func check(_ forged: Forgery, _ whole: [UInt8], mayPass: Bool = false) {
        let bytes = forged.sealed()
        if bytes == whole || mayPass {
            _ = verifies(bytes)
        } else {
            let differing = zip(bytes, whole).enumerated().first { $0.element.0 != $0.element.1 }
            let isAccepted = verifies(bytes)
            #expect(!isAccepted, "first change at \(differing?.offset ?? -1)")
        }
    }

    private func verifies(_ bytes: [UInt8]) -> Bool {
        do throws(SegmentError) {
            try SegmentVerifier.verify(bytes)
            return true
        } catch {
            return false
        }
    }
}
