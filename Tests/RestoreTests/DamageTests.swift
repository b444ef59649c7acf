import BackupCatalog
import Bytes
import Glibc
import ObjectStorage
import Platform
import SegmentFormat
import TestSupport
import Testing

@testable import Restore

/// Holes, forks, objects that are damaged or vanish, and stores that stutter.
@Suite struct DamageTests {
    private func key(_ history: SampleHistory, _ kind: String, at place: Int) -> ObjectKey {
        history.store.objects.keys.filter { $0.path.hasSuffix(kind) }.sorted()[place]
    }

    private func flip(_ key: ObjectKey, in store: MemoryStore, at offset: Int? = nil) {
        let count = store.objects[key]!.count
        store.objects[key]![offset ?? count / 2] ^= 0x10
    }

    @Test func `a hole is named before a byte is fetched`() async throws {
        let history = try await RestoreTests.history(seed: 21)
        let gone = key(history, ".log", at: 1)
        let name = gone.path.split(separator: "/").last!
        let first = TXID(hex: name.prefix(16))!
        history.store.objects[gone] = nil
        let bench = RestoreBench(history.store)
        #expect(
            try await bench.restore(.txid(first.previous)) == history.file(at: first.previous)
        )
        let error = await #expect(throws: RestoreError.self) {
            try await bench.plan(.txid(first))
        }
        #expect(error?.code == .hole)
        #expect(error?.message.contains(first.description) == true)
        // The second snapshot lies beyond the hole.
        #expect(try await bench.restore(.latest) == history.file(at: history.txid))
        try await expectHole(.timestamp(history.times[first]!), after: first.previous, bench)
        let before = RestoreTarget.timestamp(history.times[first.previous]!)
        #expect(try await bench.plan(before).txid == first.previous)
    }

    private func expectHole(
        _ target: RestoreTarget,
        after last: TXID,
        _ bench: RestoreBench
    ) async throws {
        let error = await #expect(throws: RestoreError.self) { try await bench.plan(target) }
        #expect(error?.code == .hole)
        #expect(error?.message.contains("-txid \(last);") == true, "\(error?.message ?? "")")
    }

    @Test func `the newest state is refused where newer commits were stored and cannot be reached`()
        async throws
    {
        var history = SampleHistory(seed: 29)
        try await history.beginGeneration()
        try await history.snapshot()
        try await history.log(commits: 3)
        let last = history.txid
        try await history.log(commits: 3)
        let gone = key(history, ".log", at: 1)
        try await history.log(commits: 3)
        history.store.objects[gone] = nil
        let bench = RestoreBench(history.store)
        try await expectHole(.latest, after: last, bench)
        try await expectHole(.timestamp(history.times[history.txid]!), after: last, bench)
        try await expectHole(.timestamp(history.times[last.next]!), after: last, bench)
        #expect(try await bench.restore(.txid(last)) == history.file(at: last))
        #expect(try await bench.plan(.timestamp(history.times[last]!)).txid == last)
    }

    @Test func `a fork stops a restore until a history is chosen`() async throws {
        var history = SampleHistory(seed: 31)
        try await history.beginGeneration()
        try await history.snapshot()
        try await history.log(commits: 4)
        let fork = history.txid
        var other = history
        other.writer = WriterTag(0xfeed)
        other.random = SeededGenerator(seed: 99)
        try await history.log(commits: 5)
        try await other.log(commits: 3)
        let bench = RestoreBench(history.store)
        #expect(try await bench.restore(.txid(fork)) == history.file(at: fork))
        for target in [RestoreTarget.latest, .txid(fork.next)] {
            let error = await #expect(throws: CatalogError.self) { try await bench.plan(target) }
            #expect(error?.code == .forked)
            #expect(error?.message.contains("000000000000feed") == true)
            #expect(error?.message.contains(history.txid.description) == true)
            #expect(error?.message.contains(other.txid.description) == true)
        }
        let ours = try await bench.restore(.latest, writer: history.writer)
        #expect(ours == history.file(at: history.txid))
        let theirs = try await bench.restore(.latest, writer: other.writer)
        #expect(theirs == other.file(at: other.txid))
    }

    @Test func `a damaged snapshot is replaced by an older one`() async throws {
        let history = try await RestoreTests.history(seed: 22)
        flip(key(history, ".snapshot", at: 1), in: history.store, at: 160)
        let bench = RestoreBench(history.store)
        #expect(try await bench.restore(.latest) == history.file(at: history.txid))
        #expect(bench.warnings.all.count == 1)
    }

    @Test func `an object that vanished is planned around`() async throws {
        let history = try await RestoreTests.history(seed: 23)
        let bench = RestoreBench(history.store)
        let plan = try await bench.plan(.latest)
        history.store.objects[plan.base.key] = nil
        #expect(try await bench.restore(plan) == history.file(at: history.txid))
    }

    @Test(arguments: [0, 4])
    func `a damaged log segment ends what can be restored`(_ place: Int) async throws {
        let history = try await RestoreTests.history(seed: 24)
        let damaged = key(history, ".log", at: place)
        let name = damaged.path.split(separator: "/").last!
        let last = TXID(hex: name.prefix(16))!.previous
        flip(damaged, in: history.store)
        let bench = RestoreBench(history.store)
        let target = TXID(hex: name.dropFirst(17).prefix(16))!
        let plan = try await bench.plan(.txid(target))
        let error = await #expect(throws: (any Error).self) { try await bench.restore(plan) }
        #expect("\(error!)".contains(damaged.path))
        #expect(bench.folder.names.isEmpty)
        #expect(try await bench.restore(.txid(last)) == history.file(at: last))
    }

    @Test func `each byte of each object is proven`() async throws {
        var history = SampleHistory(seed: 25, pageCount: 4)
        try await history.beginGeneration()
        try await history.snapshot()
        try await history.log(commits: 3)
        let bench = RestoreBench(history.store)
        let right = history.file(at: history.txid)
        for object in history.store.objects.keys where !object.path.hasSuffix(".json") {
            let whole = history.store.objects[object]!
            for offset in stride(from: 0, to: whole.count, by: 7) {
                flip(object, in: history.store, at: offset)
                if let bytes = try? await bench.restore(.txid(history.txid)) {
                    #expect(bytes == right, "\(object) byte \(offset)")
                }
                history.store.objects[object] = whole
            }
        }
    }

    @Test func `downloads go on where they broke off`() async throws {
        let history = try await RestoreTests.history(seed: 26)
        let bench = RestoreBench(StutteringStore(store: history.store, limit: 700))
        #expect(try await bench.restore(.latest) == history.file(at: history.txid))
    }

    @Test func `a store that fails now and then is asked again`() async throws {
        let history = try await RestoreTests.history(seed: 27)
        let bench = RestoreBench(history.store)
        let plan = try await bench.plan(.latest)
        history.store.setHook { $0.number % 3 == 0 ? .before(.unreachable) : nil }
        #expect(try await bench.restore(plan) == history.file(at: history.txid))
    }

    @Test func `the output is never touched by a restore that fails`() async throws {
        let history = try await RestoreTests.history(seed: 28)
        for snapshot in history.store.objects.keys where snapshot.path.hasSuffix(".snapshot") {
            flip(snapshot, in: history.store, at: 150)
        }
        let bench = RestoreBench(history.store)
        for name in ["out.db", "out.db-wal"] {
            let file = try FileDescriptor(
                path: bench.folder.file(name),
                flags: O_WRONLY | O_CREAT
            )
            try file.write(Array("precious".utf8), at: 0)
        }
        var restorer = Restorer(
            catalog: bench.catalog,
            output: bench.output,
            executor: RestoreBench.executor
        )
        let plan = try await bench.plan(.latest)
        let refused = restorer
        await #expect(throws: RestoreError.self) { try await refused.run(plan) { _ in plan } }
        restorer.replaces = true
        let failing = restorer
        await #expect(throws: (any Error).self) {
            try await failing.run(plan) { try await bench.plan(.latest, without: $0) }
        }
        #expect(bench.folder.names == ["out.db", "out.db-wal"])
        #expect(try RestoreBench.bytes(of: bench.output) == Array("precious".utf8))
    }

    @Test func `a parent that is gone is named, and not needed by a child with a base`()
        async throws
    {
        var history = SampleHistory(seed: 30)
        try await history.beginGeneration()
        try await history.snapshot()
        try await history.log(commits: 3)
        let parent = GenerationRecord.Parent(generation: history.generation, txid: history.txid)
        try await history.beginGeneration(parent: parent)
        try await history.log(commits: 2)
        let early = history.txid
        try await history.snapshot()
        try await history.log(commits: 2)
        for key in history.store.objects.keys where key.path.contains(parent.generation.text) {
            history.store.objects[key] = nil
        }
        let bench = RestoreBench(history.store)
        #expect(try await bench.restore(.latest) == history.file(at: history.txid))
        let error = await #expect(throws: RestoreError.self) {
            try await bench.plan(.txid(early.previous))
        }
        #expect(error?.code == .outsideWindow)
        #expect("\(error!)".contains(parent.generation.text))
        var check = BackupCheck(catalog: bench.catalog, executor: RestoreBench.executor)
        check.pause = 0
        let outcome = try await check.run(.list)
        #expect(outcome.generations.map(\.restorable) == [[early...history.txid]])
        #expect(outcome.findings.map(\.object) == [parent.generation.text])
    }

    @Test func `a parent's commit after which there is none is refused`() async throws {
        var history = SampleHistory(seed: 30)
        try await history.beginGeneration()
        let key = ObjectKey("highwater-1/\(history.generation)/generation.json")!
        var record = try GenerationRecord(decoding: history.store.objects[key]!, object: "")
        record.parent = .init(generation: history.generation, txid: TXID(.max))
        let error = #expect(throws: CatalogError.self) {
            try GenerationRecord(decoding: record.encode(), object: "generation.json")
        }
        #expect(error?.code == .damaged)
        // Whoever lists generations asks for the commit after it.
        history.store.objects[key] = record.encode()
        await #expect(throws: CatalogError.self) {
            try await RestoreBench(history.store).plan(.latest)
        }
    }

    @Test func `a segment of another writer that is linked to something else goes on nowhere`()
        async throws
    {
        var history = SampleHistory(seed: 32)
        try await history.beginGeneration()
        try await history.snapshot()
        try await history.log(commits: 2)
        let encoder = try LogSegmentEncoder(
            header: SegmentHeader(
                kind: .log,
                pageSize: history.pageSize,
                minTXID: history.txid.next,
                writer: WriterTag(7),
                link: SegmentChecksum(low: 1, high: 2),
                pageCountBefore: UInt32(history.pages.count),
                generation: history.generation
            )
        )
        try encoder.endCommit(
            CommitRecord(
                txid: history.txid.next,
                pageCount: UInt32(history.pages.count),
                digest: nil,
                notSeenAt: history.clock,
                seenAt: history.clock
            )
        )
        let name = try encoder.finish(position: nil).name
        try await history.put(name.path, encoder.takeOutput())
        let catalog = Catalog(store: history.store)
        let generation = try await catalog.generation(history.generation)
        let timeline = try await catalog.timeline(of: generation)
        #expect(timeline.current?.last == history.txid)
        #expect(timeline.orphans.map(\.name) == [name])
    }

    @Test func `a page that is not as its record says is not restored, without a digest either`()
        async throws
    {
        var history = SampleHistory(seed: 33)
        try await history.beginGeneration()
        try await history.snapshot()
        let encoder = try LogSegmentEncoder(
            header: SegmentHeader(
                kind: .log,
                pageSize: history.pageSize,
                minTXID: history.txid.next,
                writer: history.writer,
                pageCountBefore: UInt32(history.pages.count),
                generation: history.generation
            )
        )
        let page = PageEntry(change: .whole, page: PageNumber(2), preHash: nil, resultHash: 7)
        try history.page().withUnsafeBytes { try encoder.append(page: page, content: $0) }
        try encoder.endCommit(
            CommitRecord(
                txid: history.txid.next,
                pageCount: UInt32(history.pages.count),
                digest: nil,
                notSeenAt: history.clock,
                seenAt: history.clock
            )
        )
        let name = try encoder.finish(position: nil).name
        try await history.put(name.path, encoder.takeOutput())
        let bench = RestoreBench(history.store)
        await #expect(throws: (any Error).self) {
            try await bench.restore(.txid(history.txid.next))
        }
        #expect(try await bench.restore(.txid(history.txid)) == history.file(at: history.txid))
    }

    @Test func `a log of pages that nobody has costs no memory`() async throws {
        var history = SampleHistory(seed: 31)
        try await history.beginGeneration()
        try await history.snapshot()
        // The format allows it: only the state before shows that the count is a lie.
        let encoder = try LogSegmentEncoder(
            header: SegmentHeader(
                kind: .log,
                pageSize: history.pageSize,
                minTXID: TXID(2),
                writer: history.writer,
                pageCountBefore: 60_000_000,
                generation: history.generation
            )
        )
        try encoder.endCommit(
            CommitRecord(
                txid: TXID(2),
                pageCount: 60_000_000,
                digest: nil,
                notSeenAt: history.clock,
                seenAt: history.clock
            )
        )
        let finished = try encoder.finish(position: nil)
        let name = SegmentName(header: finished.header, footer: finished.footer)
        try await history.put(name.path, encoder.takeOutput())
        let catalog = Catalog(store: history.store)
        let generation = try await catalog.generation(history.generation)
        await #expect(throws: SegmentError.self) {
            try await catalog.pageHashes(of: generation, at: TXID(2), searching: [])
        }
        let plan = try await RestoreBench(history.store).plan(.txid(TXID(2)))
        let reader = RangeReader(history.store, progress: RestoreProgress())
        await #expect(throws: SegmentError.self) {
            try await ExpectedIndex(of: plan, reader: reader, width: 2, on: RestoreBench.executor)
        }
    }

    @Test func `parents in a circle are refused`() async throws {
        var history = SampleHistory(seed: 29)
        try await history.beginGeneration()
        let own = GenerationRecord.Parent(generation: history.generation, txid: TXID(1))
        let key = ObjectKey("highwater-1/\(history.generation)/generation.json")!
        let bytes = history.store.objects[key]!
        var record = try GenerationRecord(decoding: bytes, object: "")
        record.parent = own
        try await history.log(commits: 2)
        history.store.objects[key] = record.encode()
        let bench = RestoreBench(history.store)
        let generation = history.generation
        await #expect(throws: CatalogError.self) {
            try await bench.plan(.latest, generation: generation)
        }
    }
}
