import Bytes
import PageHashing
import SegmentFormat
import TestSupport
import Testing
import Zstandard

@Suite struct PageHashTests {
    private static let empty: [UInt8] = []

    @Test func `known answers of XXH3`() {
        // From the xxHash specification's reference implementation, `xxh128sum` and `xxhsum -H3`.
        #expect(Checksum64.of(Self.empty) == 0x2d06_8005_38d3_94c2)
        #expect(Checksum64.of(Array("abc".utf8)) == 0x78af_5f94_892f_3950)
        var stream = ChecksumStream()
        #expect(stream.finish().description == "99aa06d3014798d86001c324468d497f")
        stream.update(Array("ab".utf8))
        stream.update(Array("c".utf8))
        #expect(stream.finish().description == "06b05ab6733a618578af5f94892f3950")
        stream.reset()
        #expect(stream.finish().description == "99aa06d3014798d86001c324468d497f")
    }

    @Test func `a stream in pieces has the checksum of the whole`() {
        var random = SeededGenerator(seed: 1)
        let bytes = (0..<100_000).map { _ in UInt8.random(in: 0...255, using: &random) }
        var whole = ChecksumStream()
        whole.update(bytes)
        var pieces = ChecksumStream()
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + Int.random(in: 0...5000, using: &random))
            pieces.update(Array(bytes[start..<end]))
            start = end
        }
        #expect(pieces.finish() == whole.finish())
    }

    @Test func `the digest notices two pages that were swapped`() {
        var random = SeededGenerator(seed: 2)
        var database = SampleDatabase(pageSize: 4096, pageCount: 5, txid: 1, using: &random)
        let (digest, sum) = (database.digest, unseededSum(database.pages))
        database.pages.swapAt(1, 3)
        #expect(database.digest != digest)
        // The same sum without the page number as seed notices nothing.
        #expect(unseededSum(database.pages) == sum)
    }

    @Test func `the digest notices a delta that was applied to another page`() {
        // A CRC is linear: crc(a ^ d) ^ crc(a) depends on d alone, so an XOR of CRCs is the same
        // whichever page d is applied to. XXH3 is not linear.
        var random = SeededGenerator(seed: 3)
        let database = SampleDatabase(pageSize: 512, pageCount: 4, txid: 1, using: &random)
        let delta = SampleDatabase.page(512, &random)
        var (right, wrong) = (database, database)
        right.pages[1] = zip(right.pages[1], delta).map { $0 ^ $1 }
        wrong.pages[2] = zip(wrong.pages[2], delta).map { $0 ^ $1 }
        #expect(right.digest != wrong.digest)
        #expect(crcXOR(right.pages) == crcXOR(wrong.pages))
    }

    @Test func `an XOR of CRCs would not notice swapped pages`() {
        var random = SeededGenerator(seed: 4)
        var database = SampleDatabase(pageSize: 512, pageCount: 4, txid: 1, using: &random)
        let before = crcXOR(database.pages)
        database.pages.swapAt(0, 2)
        #expect(crcXOR(database.pages) == before)
    }

    private func unseededSum(_ pages: [[UInt8]]) -> Hash128 {
        pages.reduce(.zero) { $0 &+ SampleDatabase.hash($1, 0) }
    }

    private func crcXOR(_ pages: [[UInt8]]) -> UInt32 {
        pages.reduce(0) { $0 ^ crc32($1) }
    }

    private func crc32(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(UInt32.max) { crc, byte in
            (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in
                value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1
            }
        }
    }
}

@Suite struct ZstandardTests {
    @Test func `round trips in one context, released in between`() throws {
        var random = SeededGenerator(seed: 5)
        var compressor = Compressor(level: 3)
        var decompressor = Decompressor()
        for count in [0, 1, 100, 4096, 1 << 20, 3, 70_000] {
            let bytes = SampleDatabase.page(max(count, 1), &random).prefix(count)
            let frame = try compressor.compress(Array(bytes))
            #expect(frame.count <= Compressor.bound(count))
            #expect(try decompressor.decompress(frame, exactly: count) == Array(bytes))
            if count == 4096 { compressor.release() }
        }
    }

    @Test func `what is not exactly one frame of the size is refused`() throws {
        var compressor = Compressor(level: 3)
        let frame = try compressor.compress([UInt8](repeating: 7, count: 1000))
        let refused: [([UInt8], Int)] = [
            ([], 0), ([], 10), (frame, 999), (frame, 1001), (frame + [0], 1000),
            (frame + frame, 2000), (Array(frame.dropLast()), 1000), ([1, 2, 3, 4, 5], 5),
        ]
        for (bytes, count) in refused {
            #expect(throws: ZstandardError.self) {
                var decompressor = Decompressor()
                return try decompressor.decompress(bytes, exactly: count)
            }
        }
    }

    @Test func `an output buffer that is too small is refused`() throws {
        #expect(throws: ZstandardError.self) {
            var compressor = Compressor(level: 3)
            var random = SeededGenerator(seed: 6)
            let source = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) }
            var target = [UInt8](repeating: 0, count: 100)
            let length: Result<Int, ZstandardError> = source.withUnsafeBytes { source in
                target.withUnsafeMutableBytes { target in
                    Result { () throws(ZstandardError) in
                        try compressor.compress(source, into: target)
                    }
                }
            }
            _ = try length.get()
        }
    }
}

@Suite struct SegmentNameTests {
    private static let log = SegmentName(
        kind: .log,
        minTXID: TXID(0x1a),
        maxTXID: TXID(0xff),
        time: Timestamp(milliseconds: 1_764_000_000_123),
        writer: WriterTag(0xabc)
    )

    @Test func `a name is its parts in fixed-width hexadecimal`() {
        let path = "00/000000000000001a-00000000000000ff-019ab697e87b-0000000000000abc.log"
        #expect(Self.log.path == path)
        #expect(SegmentName(path: path) == Self.log)
        let snapshot = SegmentName(
            kind: .snapshot,
            minTXID: .zero,
            maxTXID: .zero,
            time: Timestamp(milliseconds: 0),
            writer: WriterTag(1)
        )
        #expect(snapshot.path.hasPrefix("ff/"))
        #expect(SegmentName(path: snapshot.path) == snapshot)
    }

    @Test(arguments: [
        "", "/", "00/", "00", "generation.json", "00/x.log",
        "00/000000000000001a-00000000000000ff-019ab697e87b-0000000000000abc",
        "00/000000000000001A-00000000000000ff-019ab697e87b-0000000000000abc.log",
        "00/000000000000001a-00000000000000ff-019ab697e87b-0000000000000abc.log.tmp",
        "00/000000000000001a-00000000000000ff-019ab697e87b-0000000000000abc.level",
        "01/000000000000001a-00000000000000ff-019ab697e87b-0000000000000abc.log",
        "00/000000000000001a-0000000000000001-019ab697e87b-0000000000000abc.log",
        "00/0000000000000000-00000000000000ff-019ab697e87b-0000000000000abc.log",
        "00/000000000000001a-ffffffffffffffff-019ab697e87b-0000000000000abc.log",
        "00/1a-ff-019ab697e87b-0000000000000abc.log",
        "00/000000000000001a-00000000000000ff-019ab697e87b-0000000000000abc-1.log",
        "x/00/000000000000001a-00000000000000ff-019ab697e87b-0000000000000abc.log",
    ])
    func `anything else is no name`(path: String) {
        #expect(SegmentName(path: path) == nil)
    }

    @Test func `a clock before 1970 does not make an impossible name`() {
        let name = SegmentName(
            kind: .log,
            minTXID: TXID(1),
            maxTXID: TXID(1),
            time: Timestamp(milliseconds: -5),
            writer: WriterTag(1)
        )
        #expect(SegmentName(path: name.path) == name)
    }
}
