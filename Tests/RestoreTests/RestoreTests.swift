import BackupCatalog
import Bytes
import Glibc
import ObjectStorage
import Platform
import TestSupport
import Testing

@testable import Restore

/// Random histories, restored at every commit and compared byte for byte.
@Suite struct RestoreTests {
    /// A generation with several snapshots and log segments.
    static func history(seed: UInt64, pageSize: Int = 512) async throws -> SampleHistory {
        var history = SampleHistory(seed: seed, pageSize: pageSize)
        try await history.beginGeneration()
        try await history.snapshot()
        for round in 0..<6 {
            let count = history.random.number(1...9)
            try await history.log(commits: count, knowsHashes: round % 3 != 1)
            if round == 3 { try await history.snapshot() }
        }
        return history
    }

    @Test(arguments: 1...12)
    func `every commit restores bit for bit`(_ seed: Int) async throws {
        let pageSize = [512, 1024, 4096][seed % 3]
        let history = try await Self.history(seed: UInt64(seed), pageSize: pageSize)
        var bench = RestoreBench(history.store)
        bench.parallelism = seed % 2 == 0 ? 1 : 4
        // With a cache of a few pages, every page leaves it again and again.
        bench.memoryBytes = seed % 4 == 0 ? 8 << 10 : 1 << 20
        for txid in history.states.keys.sorted() {
            let bytes = try await bench.restore(.txid(txid))
            #expect(bytes == history.file(at: txid), "TXID \(txid)")
        }
        #expect(try await bench.restore(.latest) == history.file(at: history.txid))
    }

    @Test(arguments: 1...8)
    func `snapshots in slices restore from their last slice on`(_ seed: Int) async throws {
        var history = SampleHistory(seed: UInt64(seed), pageCount: 40)
        try await history.beginGeneration()
        try await history.log(commits: 3)
        let first = history.txid
        let key = try await history.slicedSnapshot(slices: 3) { history in
            try await history.log(commits: 4)
        }
        let served = history.txid
        try await history.log(commits: 5)
        let bench = RestoreBench(history.store)
        for txid in history.states.keys.sorted() where txid >= served {
            #expect(try await bench.restore(.txid(txid)) == history.file(at: txid), "TXID \(txid)")
        }
        let plan = try await bench.plan(.txid(served))
        #expect(plan.base.key == key && plan.firstCommit == first.next)
        await #expect(throws: RestoreError.self) { try await bench.plan(.txid(first)) }
    }

    @Test(arguments: 1...6)
    func `restores cross from child to parent`(_ seed: Int) async throws {
        var history = SampleHistory(seed: UInt64(seed))
        try await history.beginGeneration()
        try await history.snapshot()
        try await history.log(commits: 5)
        for depth in 0..<3 {
            let parent = GenerationRecord.Parent(
                generation: history.generation,
                txid: history.txid
            )
            // What the parent's agent still writes is not on the child's line.
            var other = history
            other.writer = WriterTag(7)
            try await other.log(commits: 3)
            try await history.beginGeneration(parent: parent)
            try await history.log(commits: 4)
            if depth == 1 { try await history.snapshot() }
            try await history.log(commits: 3)
        }
        let bench = RestoreBench(history.store)
        for txid in history.states.keys.sorted() {
            #expect(try await bench.restore(.txid(txid)) == history.file(at: txid), "TXID \(txid)")
        }
        let first = try await bench.plan(.txid(TXID(3)))
        #expect(first.generation.id != history.generation)
        let last = try await bench.plan(.latest)
        #expect(last.generations.count == 2)
    }

    /// An agent whose database is at an older state than the one at which the newest generation
    /// began names that generation as its parent all the same.
    @Test(arguments: 1...4)
    func `a child may go on from before its parent began`(_ seed: Int) async throws {
        var history = SampleHistory(seed: UInt64(seed))
        try await history.beginGeneration()
        try await history.snapshot()
        try await history.log(commits: 3)
        var back = history
        back.writer = WriterTag(9)
        try await history.log(commits: 2)
        let first = GenerationRecord.Parent(generation: history.generation, txid: history.txid)
        try await history.beginGeneration(parent: first)
        try await history.log(commits: 3)
        let second = GenerationRecord.Parent(generation: history.generation, txid: back.txid)
        back.clock = history.clock
        try await back.beginGeneration(parent: second)
        try await back.log(commits: 4)
        let bench = RestoreBench(history.store)
        for line in [history, back] {
            for txid in line.states.keys.sorted() {
                let bytes = try await bench.restore(.txid(txid), generation: line.generation)
                #expect(bytes == line.file(at: txid), "TXID \(txid)")
            }
        }
        let graph = try await bench.catalog.lineage()
        #expect(graph.canRestore(back.txid, of: back.generation))
        #expect(graph.canRestore(second.txid, of: back.generation))
        let generation = try await bench.catalog.generation(back.generation)
        let index = try await bench.catalog.pageHashes(
            of: generation,
            at: back.txid,
            searching: []
        )
        #expect(index.txid == back.txid)
        let verifier = BackupVerifier(
            catalog: bench.catalog,
            executor: RestoreBench.executor,
            parallelism: 2,
            memoryBytes: 1 << 20,
            progress: RestoreProgress()
        )
        let report = try await verifier.verify(generation, reads: true)
        #expect(report.findings.isEmpty, "\(report.findings)")
    }

    @Test func `a commit is taken from one object only`() async throws {
        let history = try await Self.history(seed: 5)
        let plan = try await RestoreBench(history.store).plan(.latest)
        var next = plan.firstCommit
        for slice in plan.steps {
            #expect(slice.commits.lowerBound == next)
            #expect(slice.segment.name.minTXID <= slice.commits.lowerBound)
            #expect(slice.segment.name.maxTXID >= slice.commits.upperBound)
            next = slice.commits.upperBound.next
        }
        #expect(next == plan.txid.next)
    }

    @Test func `times are resolved to the last commit seen by then`() async throws {
        let history = try await Self.history(seed: 9)
        let bench = RestoreBench(history.store)
        for (txid, time) in history.times {
            let plan = try await bench.plan(.timestamp(time))
            #expect(plan.txid == txid)
            let later = Timestamp(milliseconds: time.milliseconds + 999)
            #expect(try await bench.plan(.timestamp(later)).txid == txid)
        }
        let early = Timestamp(milliseconds: 1_763_000_000_000)
        let error = await #expect(throws: RestoreError.self) {
            try await bench.plan(.timestamp(early))
        }
        #expect(error?.code == .outsideWindow)
        #expect(error?.message.contains("0000000000000001 to") == true)
        await #expect(throws: RestoreError.self) {
            try await bench.plan(.timestamp(Timestamp(milliseconds: 3_000_000_000_000)))
        }
    }

    @Test func `the database's mode is restored, and a hint left`() async throws {
        let history = try await Self.history(seed: 2)
        let bench = RestoreBench(history.store)
        let plan = try await bench.plan(.latest)
        let restorer = Restorer(
            catalog: bench.catalog,
            output: bench.output,
            executor: RestoreBench.executor
        )
        let result = try await restorer.run(plan) { _ in plan }
        #expect(try FileSystem.status(bench.output)?.permissions == 0o640)
        let hint = String(
            decoding: try RestoreBench.bytes(of: RestoreHint.path(for: bench.output)),
            as: UTF8.self
        )
        #expect(hint.contains("\"digest\":\"\(result.digest)\""))
        #expect(hint.contains("\"generation\":\"\(history.generation)\""))
        #expect(hint.contains("\"txid\":\"\(history.txid)\""))
    }

    @Test(arguments: ["", "-wal"])
    func `what appears at the output during a restore stays`(ending: String) async throws {
        let history = try await Self.history(seed: 3)
        let bench = RestoreBench(history.store)
        let plan = try await bench.plan(.latest)
        var restorer = Restorer(
            catalog: bench.catalog,
            output: bench.output,
            executor: RestoreBench.executor
        )
        let path = bench.output + ending
        restorer.check = { _ in
            let file = try FileDescriptor(path: path, flags: O_WRONLY | O_CREAT)
            try file.write([1, 2, 3], at: 0)
        }
        let prepared = restorer
        let error = await #expect(throws: RestoreError.self) {
            try await prepared.run(plan) { _ in plan }
        }
        #expect(error?.code == .unsafeOutput)
        #expect(try RestoreBench.bytes(of: path) == [1, 2, 3])
        #expect(bench.folder.names == [FileSystem.name(of: path)], "something was left behind")
    }

    @Test func `a finished file takes no name that is taken`() throws {
        let folder = TemporaryFolder()
        let path = folder.file("app.db")
        let taken = try FileDescriptor(path: path, flags: O_WRONLY | O_CREAT)
        try taken.write([1, 2, 3], at: 0)
        let file = try OutputFile(beside: path, pageSize: PageSize(4096)!)
        let error = #expect(throws: SystemError.self) {
            try file.publish(as: path, replacing: false, mode: 0o600, owner: nil)
        }
        #expect(error?.number == EEXIST)
        #expect(try RestoreBench.bytes(of: path) == [1, 2, 3])
    }
}
