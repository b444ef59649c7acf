import Bytes
import TestSupport
import Testing

@testable import Restore

/// Pages of damaged databases must not lead anywhere. (What whole ones say is tested end to end.)
@Suite struct PageOwnershipTests {
    @Test(arguments: 1...40)
    func `random pages neither crash nor loop`(_ seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let size = PageSize(512)!
        var pages = (0..<30).map { _ in
            (0..<512).map { _ in UInt8.random(in: 0...255, using: &random) }
        }
        let kinds: [UInt8] = [2, 5, 10, 13]
        for index in pages.indices {
            // Plausible headers, so that cells are looked at.
            let start = index == 0 ? 100 : 0
            pages[index][start] = kinds[random.number(0...3)]
            pages[index][start + 3] = 0
            pages[index][start + 4] = UInt8(random.number(0...20))
            for cell in 0..<20 {
                pages[index][start + 12 + 2 * cell] = UInt8(random.number(0...1))
            }
            for offset in stride(from: start + 8, to: 508, by: 4) where random.chance(20) {
                pages[index].replaceSubrange(
                    offset..<offset + 4,
                    with: [0, 0, 0, UInt8(random.number(0...40))]
                )
            }
        }
        pages[0][20] = 0
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 512, alignment: 16)
        defer { buffer.deallocate() }
        var ownership = PageOwnership(pageSize: size, buffer: buffer)
        let read: PageOwnership.Reader = { page, buffer in
            buffer.copyBytes(from: pages[Int(page) - 1])
        }
        try ownership.walk(pageCount: 30, read)
        for _ in 0..<5 {
            let changed = Set((0..<6).map { _ in UInt32(random.number(1...30)) })
            let touched = try ownership.commit(
                changed.sorted(),
                removed: [],
                pageCount: 30,
                read
            )
            #expect(!touched.isEmpty)
        }
    }

    @Test func `a record with impossible sizes is no row`() {
        for record: [UInt8] in [
            [], [5], [200, 200, 200, 200, 200, 200, 200, 200, 200], [5, 23, 23, 23, 6],
            [5, 0, 0, 0, 0], [5, 0xff, 0xff, 0xff, 0xff],
        ] {
            #expect(record.withUnsafeBytes { SchemaRow(record: $0) } == nil)
        }
        let right: [UInt8] = [5, 23, 17, 17, 1] + Array("tableabab".utf8) + [7]
        let row = right.withUnsafeBytes { SchemaRow(record: $0) }
        #expect(row == SchemaRow(kind: "table", name: "ab", table: "ab", root: 7))
    }
}
