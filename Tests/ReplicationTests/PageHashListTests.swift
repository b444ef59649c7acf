import Bytes
import PageHashing
import Testing
import WALFormat

@testable import Replication

/// Hashing all pages of a database, beside reading it.
struct PageHashListTests {
    private struct Unreadable: Error, Equatable {
        let page: UInt32
    }

    /// Some content for each page of a database, without keeping it anywhere.
    private static func fill(_ buffer: UnsafeMutableRawBufferPointer, _ page: UInt32) {
        buffer.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: page &* 37))
        buffer.storeBytes(of: page, as: UInt32.self)
    }

    @Test(
        "every page has its hash, however many are read at once",
        arguments: [512, 4096, 65536],
        [0, 1, 3, 64, 257, 2_600]
    )
    func everyPage(bytes: Int, pageCount: UInt32) throws {
        let size = try #require(PageSize(bytes))
        var next: UInt32 = 1
        let list = try PageHashList(pageCount: pageCount, pageSize: size) { first, buffer in
            #expect(first.rawValue == next, "runs follow one another")
            for place in 0..<(buffer.count / bytes) {
                let start = place * bytes
                Self.fill(
                    UnsafeMutableRawBufferPointer(rebasing: buffer[start..<(start + bytes)]),
                    next
                )
                next += 1
            }
        }
        #expect(next == pageCount + 1, "all pages are read, and none beyond")
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 64)
        defer { page.deallocate() }
        var digest = DatabaseDigest.zero
        var low: [UInt64] = []
        for number in 0..<pageCount {
            Self.fill(page, number + 1)
            let hash = PageHasher.hash(UnsafeRawBufferPointer(page), number: .init(number + 1))
            low.append(hash.low)
            digest = digest &+ hash
        }
        #expect(list.low == low)
        #expect(list.digest == digest)
    }

    @Test("the lock page does not count")
    func lockPage() throws {
        let size = try #require(PageSize(65536))
        let lockPage = size.lockPage.rawValue
        let list = try PageHashList(pageCount: lockPage + 2, pageSize: size) { first, buffer in
            buffer.initializeMemory(as: UInt8.self, repeating: 1)
        }
        #expect(list.low.count == Int(lockPage) + 2)
        #expect(list.low[Int(lockPage) - 1] == 0)
        #expect(list.low[Int(lockPage)] != 0)
    }

    @Test("a page that cannot be read ends it with that error", arguments: [1, 5, 400, 10_000])
    func unreadable(page: UInt32) throws {
        let size = try #require(PageSize(4096))
        #expect(throws: Unreadable(page: page)) {
            try PageHashList(pageCount: 10_000, pageSize: size) { first, buffer in
                let end = first.rawValue + UInt32(buffer.count / 4096)
                if (first.rawValue..<end).contains(page) { throw Unreadable(page: page) }
                buffer.initializeMemory(as: UInt8.self, repeating: 7)
            }
        }
    }
}
