import BackupCatalog
import Bytes
import ObjectStorage
import Platform
import TestSupport
import Testing

@testable import Restore

/// Packs and levels: what maintenance makes of the log.
@Suite struct MergedTests {
    @Test(arguments: 1...6)
    func `every commit restores through packs and levels`(_ seed: Int) async throws {
        let history = try await SampleHistory.merged(seed: UInt64(seed))
        var bench = RestoreBench(history.store)
        if seed % 2 == 0 { bench.memoryBytes = 16 << 10 }
        var levels = 0
        for txid in history.states.keys.sorted() {
            let plan = try await bench.plan(.txid(txid))
            levels += plan.steps.count { $0.segment.name.kind == .level }
            #expect(try await bench.restore(plan) == history.file(at: txid), "TXID \(txid)")
        }
        #expect(levels > 0)
    }

    /// Pages that were there neither before the window nor after it are not in the level.
    @Test func `a level goes upon a snapshot within its window`() async throws {
        var levels = 0
        for seed in 1...40 as ClosedRange<UInt64> {
            var history = SampleHistory(seed: seed, pageCount: 12)
            try await history.beginGeneration()
            try await history.snapshot()
            try await history.log(commits: 60)
            let begin = history.txid
            try await history.log(commits: history.random.number(1...8))
            try await history.snapshot()
            try await history.log(commits: 60)
            try await history.level(1, after: begin)
            let bench = RestoreBench(history.store)
            let plan = try await bench.plan(.latest)
            levels += plan.steps.first { $0.isLevel } == nil ? 0 : 1
            #expect(try await bench.restore(plan) == history.file(at: history.txid))
            #expect(bench.warnings.all.isEmpty, "seed \(seed): \(bench.warnings.all)")
        }
        #expect(levels > 10)
    }

    @Test func `a level is a shortcut, and the log serves where it is damaged`() async throws {
        let history = try await SampleHistory.merged(seed: 7)
        let bench = RestoreBench(history.store)
        let plan = try await bench.plan(.latest)
        let level = try #require(plan.steps.first { $0.segment.name.kind == .level })
        history.store.objects[level.segment.key]![200] ^= 1
        #expect(try await bench.restore(plan) == history.file(at: history.txid))
        #expect(!bench.warnings.all.isEmpty)
    }

    @Test func `each byte of a level and a pack is proven`() async throws {
        let history = try await SampleHistory.merged(seed: 8)
        let bench = RestoreBench(history.store)
        let right = history.file(at: history.txid)
        let kinds = [".pack", ".level"]
        for object in history.store.objects.keys.sorted()
        where kinds.contains(where: object.path.hasSuffix) {
            let whole = history.store.objects[object]!
            for offset in stride(from: 3, to: whole.count, by: whole.count / 9) {
                history.store.objects[object]![offset] ^= 0x04
                if let bytes = try? await bench.restore(.latest) {
                    #expect(bytes == right, "\(object) byte \(offset)")
                }
                history.store.objects[object] = whole
            }
        }
    }

    @Test(arguments: 1...4)
    func `a database is patched into any other state`(_ seed: Int) async throws {
        let history = try await SampleHistory.merged(seed: UInt64(seed))
        let bench = RestoreBench(history.store)
        var random = SeededGenerator(seed: UInt64(seed))
        let txids = history.states.keys.sorted()
        for target in txids.shuffled(using: &random).prefix(8) {
            var from = history.file(at: txids.randomElement(using: &random)!)
            if random.chance(30) { from[random.number(0...from.count - 1)] ^= 1 }
            if random.chance(20) { from = [] }
            if random.chance(20) { from += [1, 2, 3] }
            let seeded = from
            let plan = try await bench.plan(.txid(target))
            let restorer = Restorer(
                catalog: bench.catalog,
                output: bench.output,
                executor: RestoreBench.executor
            )
            let patcher = PatchRestorer(restorer) { copy in
                try seeded.withUnsafeBytes { if $0.count > 0 { try copy.write(PageNumber(1), $0) } }
            }
            let result = try await patcher.run(plan)
            #expect(try RestoreBench.bytes(of: bench.output) == history.file(at: target))
            #expect(result.changedPages <= history.states[target]!.count)
            for name in bench.folder.names { try FileSystem.remove(bench.folder.file(name)) }
        }
    }

    @Test(arguments: 1...6)
    func `commits are undone from the log alone where they can be`(_ seed: Int) async throws {
        var history = SampleHistory(seed: UInt64(seed), pageCount: 30)
        try await history.beginGeneration()
        try await history.snapshot()
        for _ in 0..<4 { try await history.log(commits: 4, knowsHashes: seed % 2 == 0) }
        let bench = RestoreBench(history.store)
        let live = history.file(at: history.txid)
        let tip = try await bench.catalog.newestGeneration()
        let lineage = try await Lineage.load(tip, from: bench.catalog)
        var undone = 0
        for target in history.states.keys.sorted() where target < history.txid {
            let plan = try await bench.plan(.txid(target))
            let restorer = Restorer(
                catalog: bench.catalog,
                output: bench.output,
                executor: RestoreBench.executor
            )
            var patcher = PatchRestorer(restorer) { copy in
                try live.withUnsafeBytes { try copy.write(PageNumber(1), $0) }
            }
            patcher.undo = try await UndoPlan(after: target, on: lineage, catalog: bench.catalog)
            let result = try await patcher.run(plan)
            undone += result.undonePages
            #expect(
                try RestoreBench.bytes(of: bench.output) == history.file(at: target),
                "\(target)"
            )
            for name in bench.folder.names { try FileSystem.remove(bench.folder.file(name)) }
        }
        // Without a digest at the end nobody knows whether the commits lead back from here.
        #expect(undone > 0 || seed % 2 == 1)
    }
}
