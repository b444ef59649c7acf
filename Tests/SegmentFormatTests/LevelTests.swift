import Bytes
import PageHashing
import SegmentFormat
import TestSupport
import Testing

/// Windows of commits as the pages that changed in them, and the proof that none is missing.
@Suite struct LevelTests {
    @Test(arguments: 1...12) func `a level leads to the state at its end`(_ seed: Int) throws {
        let chain = try MergedSample.chain(seed: UInt64(seed), segments: seed)
        let (bytes, finished) = try MergedSample.level(from: chain.before, to: chain.after)
        let layout = try SegmentVerifier.verify(bytes, name: finished.name)
        #expect(layout.header.digestBefore == chain.before.digest)
        #expect(layout.footer.digestAfter == chain.after.digest)
        #expect(finished.name.path.hasPrefix("01/") && finished.name.path.hasSuffix(".level"))
        #expect(try MergedSample.apply(level: bytes, to: chain.before.pages) == chain.after.pages)
        // From within the window it leads there as well.
        for state in chain.states {
            #expect(try MergedSample.apply(level: bytes, to: state.pages) == chain.after.pages)
        }
    }

    @Test func `a page forgotten, or of another commit, is not stored`() throws {
        let chain = try MergedSample.chain(seed: 5, segments: 6, pageCount: 9)
        for page in 1...max(chain.before.pages.count, chain.after.pages.count)
        where MergedSample.hash(chain.before, page) != MergedSample.hash(chain.after, page) {
            #expect(throws: SegmentError.self, "page \(page)") {
                try MergedSample.level(from: chain.before, to: chain.after, leavingOut: page)
            }
        }
        var stale = chain.after
        stale.pages[0] = chain.before.pages[0]
        stale.pages[1][3] ^= 1
        let encoder = try LevelEncoder(
            header: MergedSample.header(from: chain.before),
            end: MergedSample.end(chain.after)
        )
        for page in 1...chain.after.pages.count {
            try stale.pages[page - 1].withUnsafeBytes {
                try encoder.append(
                    page: PageNumber(UInt32(page)),
                    hashBefore: MergedSample.hash(chain.before, page),
                    content: $0
                )
            }
        }
        #expect(throws: SegmentError.self) { try encoder.finish() }
        #expect(throws: SegmentError.self, "failed before") { try encoder.finish() }
    }

    @Test func `records out of place are refused`() throws {
        let chain = try MergedSample.chain(seed: 6, segments: 2)
        func encoder() throws -> LevelEncoder {
            try LevelEncoder(
                header: MergedSample.header(from: chain.before),
                end: MergedSample.end(chain.after)
            )
        }
        let page = [UInt8](repeating: 7, count: 512)
        let count = UInt32(chain.before.pages.count)
        let wrong: [(PageNumber, UInt64?, Int)] = [
            (PageNumber(0), 1, 512), (PageNumber(1), nil, 512), (PageNumber(1), 1, 511),
            (PageNumber(count + 1), 1, 512), (PageNumber(4000), nil, 512),
        ]
        for (number, hash, length) in wrong {
            let encoder = try encoder()
            #expect(throws: SegmentError.self, "\(number)") {
                try page[..<length].withUnsafeBytes {
                    try encoder.append(page: number, hashBefore: hash, content: $0)
                }
            }
        }
        let doubled = try encoder()
        try page.withUnsafeBytes {
            try doubled.append(page: PageNumber(1), hashBefore: 1, content: $0)
        }
        #expect(throws: SegmentError.self) {
            try doubled.append(removed: PageNumber(1), hashBefore: 1)
        }
        #expect(throws: SegmentError.self) {
            try encoder().append(removed: PageNumber(1), hashBefore: 1)
        }
    }

    @Test func `a level needs both digests and no link`() throws {
        let chain = try MergedSample.chain(seed: 6, segments: 2)
        var header = MergedSample.header(from: chain.before)
        header.digestBefore = nil
        #expect(throws: SegmentError.self) {
            try LevelEncoder(header: header, end: MergedSample.end(chain.after))
        }
        header = MergedSample.header(from: chain.before)
        header.link = SegmentChecksum(low: 1, high: 1)
        #expect(throws: SegmentError.self) {
            try LevelEncoder(header: header, end: MergedSample.end(chain.after))
        }
    }

    @Test func `no byte of a record can be changed`() throws {
        let whole = try MergedSample.level().bytes
        let layout = try SegmentLayout(segment: whole)
        let place = try #require(layout.blocks.firstIndex { $0.kind == .meta })
        let raw = try Forgery(whole).raw(place)
        for offset in raw.indices {
            for mask: UInt8 in [1, 2, 0x80] {
                var changed = raw
                changed[offset] ^= mask
                var forged = try Forgery(whole)
                try forged.replace(place, raw: changed)
                let bytes = forged.sealed()
                #expect(throws: SegmentError.self, "record byte \(offset)") {
                    try SegmentVerifier.verify(bytes)
                }
            }
        }
    }

    @Test func `many pages fill several blocks, the index last`() throws {
        var random = SeededGenerator(seed: 9)
        let before = SampleDatabase(pageSize: 512, pageCount: 6000, txid: 3, using: &random)
        var after = before
        _ = after.commit(changing: 4000, resize: 1500, using: &random)
        let (bytes, _) = try MergedSample.level(from: before, to: after)
        let layout = try SegmentVerifier.verify(bytes)
        let kinds = layout.blocks.map(\.kind)
        #expect(kinds.count { $0 == .content } > 2 && kinds.count { $0 == .meta } > 1)
        #expect(kinds.drop { $0 == .content }.allSatisfy { $0 == .meta })
        #expect(try MergedSample.apply(level: bytes, to: before.pages) == after.pages)
    }

    @Test func `an emptied database and one without changes`() throws {
        var random = SeededGenerator(seed: 10)
        let full = SampleDatabase(pageSize: 512, pageCount: 3, txid: 3, using: &random)
        var empty = full
        _ = empty.commit(changing: 0, resize: -3, using: &random)
        #expect(empty.pages.isEmpty)
        let bytes = try MergedSample.level(from: full, to: empty).bytes
        try SegmentVerifier.verify(bytes)
        #expect(try MergedSample.apply(level: bytes, to: full.pages).isEmpty)
        var same = full
        _ = same.commit(changing: 0, using: &random)
        let nothing = try MergedSample.level(from: full, to: same).bytes
        try SegmentVerifier.verify(nothing)
        #expect(try MergedSample.apply(level: nothing, to: full.pages) == full.pages)
    }
}
