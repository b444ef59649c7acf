import Bytes
import Foundation
import PageHashing
import SegmentFormat
import Testing

/// A store written once by format version 1, which every later version must go on reading.
///
/// The files are never written again.
@Suite struct FixtureTests {
    private static let folder = "Fixtures/version-1/highwater-1/20261124T001530123Z-1a2b3c4d/"
    private static let logs = [
        "00/0000000000000002-0000000000000003-019ab697efd0-0123456789abcdef.log",
        "00/0000000000000004-0000000000000005-019ab697f7a0-0123456789abcdef.log",
    ]
    private static let snapshot =
        "ff/0000000000000001-0000000000000001-019ab697e800-0123456789abcdef.snapshot"

    private func bytes(_ path: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: Bundle.module.bundleURL.appendingPathComponent(path)))
    }

    private func verified(_ path: String) throws -> (bytes: [UInt8], layout: SegmentLayout) {
        let bytes = try bytes(Self.folder + path)
        let name = try #require(SegmentName(path: path))
        return (bytes, try SegmentVerifier.verify(bytes, name: name))
    }

    @Test func `the snapshot says what it always said`() throws {
        let (_, layout) = try verified(Self.snapshot)
        #expect(layout.header.writer == WriterTag(0x0123_4567_89ab_cdef))
        #expect(layout.header.generation.text == "20261124T001530123Z-1a2b3c4d")
        #expect(layout.header.pageSize.bytes == 512)
        #expect(layout.footer.maxTXID == TXID(1))
        #expect(layout.footer.pageCountAfter == 2)
        #expect(layout.footer.lastTime.description == "2025-11-24T16:00:00.000Z")
        #expect(layout.footer.digestAfter?.description == "52c9ab2a9043ad81eaa20bc7560e3af1")
        #expect(layout.footer.checksum.description == "0c0a0bca358ccfe731fab4fe59b3ceee")
    }

    @Test func `the logs say what they always said`() throws {
        let first = try verified(Self.logs[0]).layout
        let second = try verified(Self.logs[1]).layout
        #expect(first.header.link == nil)
        #expect(second.header.link == first.footer.checksum)
        #expect(first.footer.digestAfter == second.header.digestBefore)
        #expect(second.header.pageCountBefore == 4 && second.footer.pageCountAfter == 2)
        #expect(second.footer.commitCount == 2 && second.footer.entryCount == 8)
        #expect(second.footer.position == Sample.position || second.footer.position == nil)
        #expect(second.footer.digestAfter?.description == "ac69e22b22c76e4de3fa82672742a5b3")
    }

    @Test func `they restore the same database, byte for byte`() throws {
        var pages = try Sample.decodeSnapshot(verified(Self.snapshot).bytes)
        for log in Self.logs {
            for commit in try Sample.decodeLog(verified(log).bytes) {
                pages = try Self.apply(commit, to: pages)
            }
        }
        #expect(try Array(pages.joined()) == bytes("Fixtures/version-1/restored.db"))
    }

    private static let merged =
        "Fixtures/version-1-merged/highwater-1/20261124T001530123Z-1a2b3c4d/"

    private func merged(_ path: String) throws -> (bytes: [UInt8], layout: SegmentLayout) {
        let bytes = try bytes(Self.merged + path)
        let name = try #require(SegmentName(path: path))
        return (bytes, try SegmentVerifier.verify(bytes, name: name))
    }

    @Test func `the pack and the levels lead to the same database`() throws {
        let snapshot = "ff/0000000000000009-0000000000000009-019ab697e800-0123456789abcdef.snapshot"
        let levels = [
            "01/000000000000000a-000000000000000e-019ab697e8c8-0123456789abcdef.level",
            "01/000000000000000f-0000000000000013-019ab697e990-0123456789abcdef.level",
        ]
        let pack = "00/000000000000000a-0000000000000012-019ab697e968-0123456789abcdf1.pack"
        let member = "00/0000000000000011-0000000000000012-019ab697e968-0123456789abcdf1.log"
        let last = "00/0000000000000013-0000000000000015-019ab697e9e0-0123456789abcdf1.log"
        var pages = try Sample.decodeSnapshot(merged(snapshot).bytes)
        for level in levels {
            pages = try MergedSample.apply(level: merged(level).bytes, to: pages)
        }
        let packed = try merged(pack)
        let range = PackIndex.range(of: packed.layout)
        let index = Array(packed.bytes[Int(range.lowerBound)..<Int(range.upperBound)])
        let members = try PackIndex(layout: packed.layout, bytes: index).members
        #expect(members.count == 5)
        #expect(members.last?.name.path == member)
        #expect(try members.last?.footer == merged(member).layout.footer)
        #expect(try merged(last).layout.header.link == members.last?.footer.checksum)
        for commit in try Sample.decodeLog(merged(last).bytes)
        where commit.record.txid > TXID(0x13) {
            pages = try Self.apply(commit, to: pages)
        }
        #expect(try Array(pages.joined()) == bytes("Fixtures/version-1-merged/restored.db"))
    }

    private static func apply(_ commit: SampleCommit, to pages: [[UInt8]]) throws -> [[UInt8]] {
        var pages = pages
        let count = Int(commit.record.pageCount)
        while pages.count < count { pages.append([UInt8](repeating: 0, count: 512)) }
        for page in commit.pages where !page.entry.change.isRemoval {
            let index = Int(page.entry.page.rawValue) - 1
            let content = try #require(page.content)
            pages[index] =
                page.entry.change == .whole
                ? content : zip(pages[index], content).map { $0 ^ $1 }
            let hash = SampleDatabase.hash(pages[index], index + 1)
            #expect(hash.low == page.entry.resultHash)
        }
        pages.removeLast(pages.count - count)
        return pages
    }
}
