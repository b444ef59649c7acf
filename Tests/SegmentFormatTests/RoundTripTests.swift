import Bytes
import PageHashing
import SegmentFormat
import TestSupport
import Testing

private let pageSizes = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]

@Suite struct RoundTripTests {
    @Test(arguments: pageSizes)
    func `a log segment gives back every commit`(pageSize: Int) throws {
        var random = SeededGenerator(seed: UInt64(pageSize))
        var database = SampleDatabase(pageSize: pageSize, pageCount: 9, txid: 40, using: &random)
        let link = SegmentChecksum(low: 1, high: 2)
        let header = Sample.logHeader(after: database, link: link)
        var commits: [SampleCommit] = []
        for index in 0..<25 {
            let resize = index % 5 == 2 ? 3 : index % 7 == 3 ? -4 : 0
            commits.append(
                database.commit(
                    changing: index % 6,
                    resize: resize,
                    knowsDigest: index % 4 != 0,
                    using: &random
                )
            )
        }
        let (bytes, finished) = try Sample.encode(commits, header: header)
        #expect(finished.byteCount == UInt64(bytes.count))
        let layout = try SegmentVerifier.verify(bytes, name: finished.name)
        #expect(layout.header == header)
        #expect(layout.footer == finished.footer)
        #expect(layout.footer.commitCount == 25)
        #expect(layout.footer.position == Sample.position)
        #expect(layout.footer.digestAfter == commits.last?.record.digest)
        #expect(try Sample.decodeLog(bytes) == commits)
    }

    @Test(arguments: pageSizes)
    func `a snapshot gives back every page`(pageSize: Int) throws {
        var random = SeededGenerator(seed: UInt64(pageSize) + 1)
        for count in [0, 1, 2, 37, 2_100_000 / pageSize] {
            let database = SampleDatabase(
                pageSize: pageSize,
                pageCount: count,
                txid: 7,
                using: &random
            )
            let (bytes, finished) = try Sample.snapshot(database)
            let layout = try SegmentVerifier.verify(bytes, name: finished.name)
            #expect(layout.footer.digestAfter == database.digest)
            #expect(layout.footer.pageCountAfter == UInt32(count))
            #expect(layout.footer.entryCount == UInt64(count))
            #expect(try Sample.decodeSnapshot(bytes) == database.pages)
        }
    }

    @Test func `commits without pages, and a database that becomes empty`() throws {
        var random = SeededGenerator(seed: 5)
        var database = SampleDatabase(pageSize: 512, pageCount: 3, txid: 1, using: &random)
        let header = Sample.logHeader(after: database)
        let commits = [
            database.commit(changing: 0, using: &random),
            database.commit(changing: 0, resize: -3, using: &random),
            database.commit(changing: 0, using: &random),
            database.commit(changing: 0, resize: 2, using: &random),
        ]
        let (bytes, _) = try Sample.encode(commits, header: header)
        try SegmentVerifier.verify(bytes)
        #expect(try Sample.decodeLog(bytes) == commits)
        #expect(commits[0].pages.isEmpty && commits[1].record.pageCount == 0)
    }

    @Test func `one large commit spreads over many blocks of both kinds`() throws {
        var random = SeededGenerator(seed: 6)
        var database = SampleDatabase(pageSize: 512, pageCount: 6000, txid: 1, using: &random)
        let header = Sample.logHeader(after: database)
        let commits = [
            database.commit(changing: 9000, resize: 100, using: &random),
            database.commit(changing: 2, using: &random),
            database.commit(changing: 9000, resize: -200, using: &random),
        ]
        let (bytes, finished) = try Sample.encode(commits, header: header)
        let layout = try SegmentVerifier.verify(bytes, name: finished.name)
        #expect(layout.blocks.filter { $0.kind == .meta }.count >= 4)
        #expect(layout.blocks.filter { $0.kind == .content }.count >= 10)
        #expect(layout.blocks.contains { $0.txid == TXID(4) })
        #expect(try Sample.decodeLog(bytes) == commits)
    }

    @Test func `random histories, many small segments in one workspace`() throws {
        let workspace = SegmentWorkspace()
        for seed in UInt64(100)..<160 {
            var random = SeededGenerator(seed: seed)
            let size = pageSizes[Int(seed % 4)]
            var database = SampleDatabase(
                pageSize: size,
                pageCount: Int.random(in: 0...20, using: &random),
                txid: random.next() >> 2,
                using: &random
            )
            let header = Sample.logHeader(after: database)
            var commits: [SampleCommit] = []
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                commits.append(
                    database.commit(
                        changing: Int.random(in: 0...8, using: &random),
                        resize: max(
                            -Int(database.pageCount),
                            Int.random(in: -5...5, using: &random)
                        ),
                        knowsDigest: Bool.random(using: &random),
                        using: &random
                    )
                )
            }
            let (bytes, finished) = try Sample.encode(
                commits,
                header: header,
                workspace: workspace
            )
            try SegmentVerifier.verify(bytes, name: finished.name)
            #expect(try Sample.decodeLog(bytes) == commits, "seed \(seed)")
            if seed % 10 == 0 { workspace.trim() }
        }
    }

    @Test func `a log grows and shrinks over the lock page`() throws {
        let size = try #require(PageSize(65536))
        let lock = size.lockPage.rawValue
        let header = SegmentHeader(
            kind: .log,
            pageSize: size,
            minTXID: TXID(1),
            writer: Sample.writer,
            pageCountBefore: lock - 2,
            generation: Sample.generation
        )
        let content = [UInt8](repeating: 7, count: 65536)
        func commit(_ txid: UInt64, _ change: PageChange, _ numbers: [UInt32], _ count: UInt32)
            -> SampleCommit
        {
            let pages = numbers.map { number in
                let hash = SampleDatabase.hash(content, Int(number)).low
                return SamplePage(
                    entry: PageEntry(
                        change: change,
                        page: PageNumber(number),
                        isNew: !change.isRemoval,
                        preHash: change.isRemoval ? hash : nil,
                        resultHash: change.isRemoval ? 0 : hash
                    ),
                    content: change.hasContent ? content : nil
                )
            }
            let time = Timestamp(milliseconds: Int64(txid))
            let record = CommitRecord(
                txid: TXID(txid),
                pageCount: count,
                digest: nil,
                notSeenAt: time,
                seenAt: time,
                entryCount: UInt32(pages.count)
            )
            return SampleCommit(record: record, pages: pages)
        }
        let commits = [
            commit(1, .whole, [lock - 1], lock),
            commit(2, .whole, [lock + 1, lock + 2], lock + 2),
            commit(3, .removed(hasContent: false), [lock + 1, lock + 2], lock),
            commit(4, .removed(hasContent: true), [], lock - 1),
            commit(5, .removed(hasContent: true), [lock - 1], lock - 2),
        ]
        let (bytes, _) = try Sample.encode(commits, header: header)
        try SegmentVerifier.verify(bytes)
        #expect(try Sample.decodeLog(bytes) == commits)
        let wrong = [commit(1, .whole, [lock - 1, lock], lock)]
        #expect(throws: SegmentError.self) { try Sample.encode(wrong, header: header) }
    }

    @Test func `a snapshot of more than 1 GiB leaves the lock page out`() throws {
        let size = try #require(PageSize(65536))
        let count = size.lockPage.rawValue + 3
        let header = SegmentHeader(
            kind: .snapshot,
            pageSize: size,
            minTXID: TXID(0),
            writer: Sample.writer,
            generation: Sample.generation
        )
        let encoder = try SnapshotEncoder(
            header: header,
            time: Timestamp(milliseconds: 1),
            pageCount: count
        )
        let content = [UInt8](repeating: 3, count: 65536)
        var bytes: [UInt8] = []
        while let page = encoder.nextPage {
            #expect(page != size.lockPage)
            try content.withUnsafeBytes { try encoder.append(page: page, content: $0) }
        }
        let finished = try encoder.finish(position: nil)
        bytes = encoder.takeOutput()
        let layout = try SegmentVerifier.verify(bytes, name: finished.name)
        #expect(layout.footer.entryCount == UInt64(count - 1))
        #expect(layout.footer.position == nil)
    }

    @Test func `a snapshot in slices names each slice's TXID`() throws {
        var random = SeededGenerator(seed: 9)
        let database = SampleDatabase(pageSize: 512, pageCount: 30, txid: 7, using: &random)
        let header = SegmentHeader(
            kind: .snapshot,
            pageSize: database.pageSize,
            minTXID: TXID(7),
            writer: Sample.writer,
            generation: Sample.generation
        )
        let encoder = try SnapshotEncoder(
            header: header,
            time: database.clock,
            pageCount: 20
        )
        for (index, page) in database.pages.enumerated() {
            if index == 12 {
                try encoder.beginSlice(txid: TXID(9), pageCount: 30, time: database.clock)
            }
            try page.withUnsafeBytes {
                try encoder.append(page: PageNumber(UInt32(index + 1)), content: $0)
            }
        }
        let finished = try encoder.finish(position: nil, slicedDigest: database.digest)
        let layout = try SegmentVerifier.verify(encoder.takeOutput(), name: finished.name)
        #expect(layout.blocks.map(\.txid.rawValue) == [7, 7, 9, 9])
        #expect(layout.name.minTXID == TXID(7) && layout.name.maxTXID == TXID(9))
        #expect(layout.footer.digestAfter == database.digest)
    }
}
