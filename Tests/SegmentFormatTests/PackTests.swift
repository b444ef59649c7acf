import Bytes
import SegmentFormat
import Testing

/// Log segments merged into packs, and what a pack still says about each of them.
@Suite struct PackTests {
    private func index(_ bytes: [UInt8]) throws -> [PackMember] {
        let layout = try SegmentLayout(segment: bytes)
        let range = PackIndex.range(of: layout)
        let part = Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
        return try PackIndex(layout: layout, bytes: part).members
    }

    @Test(arguments: 1...12) func `a pack holds its members' commits and ends`(_ seed: Int) throws {
        let chain = try MergedSample.chain(seed: UInt64(seed), segments: seed)
        let (bytes, finished) = try MergedSample.pack(of: chain.logs)
        let layout = try SegmentVerifier.verify(bytes, name: finished.name)
        #expect(try Sample.decodeLog(bytes) == chain.commits)
        #expect(try index(bytes).map(\.footer) == chain.finished.map(\.footer))
        #expect(try index(bytes).map(\.header) == chain.finished.map(\.header))
        #expect(layout.header.link == chain.finished[0].header.link)
        #expect(layout.header.writer == chain.finished.last?.header.writer)
        #expect(layout.footer.digestAfter == chain.after.digest)
        #expect(finished.name.path.hasSuffix(".pack") && finished.name.level == 0)
        #expect(finished.byteCount == UInt64(bytes.count))
    }

    @Test func `packs of packs are packs of all members`() throws {
        let chain = try MergedSample.chain(seed: 7, segments: 7)
        let whole = try MergedSample.pack(of: chain.logs).bytes
        let left = try MergedSample.pack(of: Array(chain.logs[..<3])).bytes
        let right = try MergedSample.pack(of: Array(chain.logs[4...])).bytes
        #expect(try MergedSample.pack(of: [left, chain.logs[3], right]).bytes == whole)
    }

    @Test func `many members fill several blocks`() throws {
        let chain = try MergedSample.chain(seed: 8, segments: 500)
        let bytes = try MergedSample.pack(of: chain.logs).bytes
        let layout = try SegmentVerifier.verify(bytes)
        #expect(layout.blocks.count { $0.kind == .members } == 3)
        #expect(try index(bytes).count == 500)
    }

    @Test func `what does not follow is refused`() throws {
        let chain = try MergedSample.chain(seed: 3, segments: 4)
        let other = try MergedSample.chain(seed: 4, segments: 4)
        let level = try MergedSample.level().bytes
        let wrong = [
            [chain.logs[0], chain.logs[2]], [chain.logs[1], chain.logs[0]],
            [chain.logs[0], chain.logs[0]], [chain.logs[0], other.logs[1]],
            [chain.logs[0], level],
        ]
        for logs in wrong {
            let error = try #require(throws: SegmentError.self) {
                try MergedSample.pack(of: logs)
            }
            #expect(error.code == .misuse)
        }
        var damaged = chain.logs[1]
        damaged[160] ^= 1
        #expect(throws: SegmentError.self) {
            try MergedSample.pack(of: [chain.logs[0], damaged])
        }
        let first = try SegmentLayout(segment: chain.logs[0]).header
        let encoder = try PackEncoder(first: first, lastWriter: WriterTag(99))
        try encoder.append(chain.logs[0])
        #expect(throws: SegmentError.self, "another last writer") { try encoder.finish() }
    }

    @Test func `a member that lies is found out`() throws {
        let whole = try MergedSample.pack()
        let layout = try SegmentLayout(segment: whole)
        let place = try #require(layout.blocks.firstIndex { $0.kind == .members })
        let raw = try Forgery(whole).raw(place)
        var accepted: [Int] = []
        for offset in raw.indices {
            var changed = raw
            changed[offset] ^= 0x40
            var forged = try Forgery(whole)
            try forged.replace(place, raw: changed)
            let bytes = forged.sealed()
            if (try? SegmentVerifier.verify(bytes)) != nil { accepted.append(offset) }
        }
        #expect(accepted.isEmpty)
    }

    @Test func `members missing, doubled or out of order are refused`() throws {
        let whole = try MergedSample.pack()
        let layout = try SegmentLayout(segment: whole)
        let place = try #require(layout.blocks.firstIndex { $0.kind == .members })
        let raw = try Forgery(whole).raw(place)
        let size = PackMember.encodedSize
        let parts = [
            Array(raw.dropLast(size)), Array(raw.dropFirst(size)), raw + raw.suffix(size),
            Array(raw[size..<2 * size] + raw[..<size] + raw[(2 * size)...]),
        ]
        for part in parts {
            var forged = try Forgery(whole)
            try forged.replace(place, raw: part, count: UInt32(part.count / size))
            let bytes = forged.sealed()
            #expect(throws: SegmentError.self) { try SegmentVerifier.verify(bytes) }
        }
    }
}
