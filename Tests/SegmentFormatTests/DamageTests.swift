import Bytes
import SegmentFormat
import TestSupport
import Testing

/// Bytes that were cut off, flipped, swapped, or never were a segment.
@Suite struct DamageTests {
    private static func log() throws -> [UInt8] {
        var random = SeededGenerator(seed: 1)
        var database = SampleDatabase(pageSize: 512, pageCount: 4, txid: 9, using: &random)
        let header = Sample.logHeader(after: database, link: SegmentChecksum(low: 1, high: 2))
        let commits = [
            database.commit(changing: 2, using: &random),
            database.commit(changing: 1, resize: 1, using: &random),
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

    @Test func `every flipped byte is noticed`() throws {
        for whole in try Self.segments() {
            for index in whole.indices {
                for mask: UInt8 in [0x01, 0x80, 0xff, 0x10, 0x42] {
                    var bytes = whole
                    bytes[index] ^= mask
                    #expect(throws: SegmentError.self, "byte \(index) ^ \(mask)") {
                        try SegmentVerifier.verify(bytes)
                    }
                }
            }
        }
    }

    @Test func `a flip that only the whole-file checksum covers is found without it too`() throws {
        // A reader that fetches ranges checks blocks, table, header and footer one by one: together
        // these must cover every byte.
        for whole in try Self.segments() {
            let layout = try SegmentLayout(segment: whole)
            for block in layout.blocks where block.kind != .members {
                for index in 0..<Int(block.storedLength) {
                    var stored = Sample.stored(block, in: whole)
                    stored[index] ^= 0x20
                    #expect(throws: SegmentError.self) {
                        if layout.header.kind != .snapshot, block.kind == .meta {
                            _ = try LogBlocks.decodeMeta(stored, block)
                        } else if block.kind == .meta {
                            _ = try SnapshotBlocks.decodeMeta(stored, block)
                        } else {
                            _ = try LogBlocks.decodeContent(stored, block)
                        }
                    }
                }
            }
        }
    }

    @Test func `every truncation is noticed`() throws {
        for whole in try Self.segments() {
            for length in 0..<whole.count {
                #expect(throws: SegmentError.self, "\(length) bytes") {
                    try SegmentVerifier.verify(Array(whole[..<length]))
                }
                #expect(throws: SegmentError.self, "last \(length) bytes") {
                    try SegmentVerifier.verify(Array(whole.suffix(length)))
                }
            }
        }
    }

    @Test func `bytes after the end, or in the middle, are noticed`() throws {
        for whole in try Self.segments() {
            let changed: [[UInt8]] = [
                whole + [0],
                whole + whole,
                [0] + whole,
                Array(whole[..<200]) + [0] + Array(whole[200...]),
                Array(whole[..<144]) + Array(whole.suffix(144)),
            ]
            for bytes in changed {
                #expect(throws: SegmentError.self) { try SegmentVerifier.verify(bytes) }
            }
        }
    }

    @Test func `random bytes are no segment`() throws {
        var random = SeededGenerator(seed: 3)
        let whole = try Self.log()
        for _ in 0..<2000 {
            let count = Int.random(in: 0...600, using: &random)
            var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            if Bool.random(using: &random) { bytes = Array(whole[..<10]) + bytes }
            #expect(throws: SegmentError.self) { try SegmentVerifier.verify(bytes) }
        }
    }

    @Test func `errors say what is wrong`() throws {
        let whole = try Self.log()
        func code(_ bytes: [UInt8]) -> SegmentError.Code? {
            do throws(SegmentError) { try SegmentVerifier.verify(bytes) } catch {
                return error.code
            }
            return nil
        }
        #expect(code(Array("SQLite format 3\0".utf8) + whole) == .foreign)
        #expect(code([]) == .wrongLength)
        #expect(code(Array(whole[..<100])) == .wrongLength)
        #expect(code(Array(whole[..<300])) == .wrongLength)
        var forged = try Forgery(whole)
        set(&forged.header, 8, UInt16(2))
        #expect(code(forged.sealed()) == .unsupported)
        var flipped = whole
        flipped[150] ^= 1
        #expect(code(flipped) == .checksumMismatch)
        let error = try #require(throws: SegmentError.self) {
            try SegmentVerifier.verify(flipped)
        }
        #expect(error.about("db/00/x.log").description.contains("segment db/00/x.log: "))
        #expect(!error.isRetryable)
    }

    @Test func `the name must fit the content`() throws {
        let whole = try Self.log()
        let name = try SegmentLayout(segment: whole).name
        try SegmentVerifier.verify(whole, name: name)
        let other = SegmentName(
            kind: .log,
            minTXID: name.minTXID,
            maxTXID: name.maxTXID,
            time: name.time,
            writer: WriterTag(1)
        )
        #expect(throws: SegmentError.self) { try SegmentVerifier.verify(whole, name: other) }
    }
}
