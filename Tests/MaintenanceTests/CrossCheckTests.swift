import BackupCatalog
import Bytes
import Foundation
import Maintenance
import ObjectStorage
import Platform
import Restore
import SegmentFormat
import TestSupport
import Testing

/// What maintenance leaves is restored by the product itself, and by the script that was written
/// from docs/FORMAT.md alone, with levels and without.
@Suite struct CrossCheckTests {
    private static let executor = ThreadExecutor(threads: 3)

    private static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// A history after two rounds of maintenance, and the states that it has to have.
    private func maintained(
        seed: UInt64
    ) async throws -> (MemoryStore, [(agent: SimulatedAgent, txid: TXID)]) {
        let history = try await RandomHistory(seed: seed, steps: 50)
        for minutes in [5, 90] {
            let now = Timestamp(
                milliseconds: history.now.milliseconds + Int64(minutes) * RandomHistory.minute
            )
            history.store.now = now
            let maintainer = history.maintainer(clock: now)
            try await maintainer.run()
            try await maintainer.levelAll()
        }
        let end = history.now.milliseconds + 90 * RandomHistory.minute
        return (history.store, history.required(at: Timestamp(milliseconds: end)))
    }

    @Test(arguments: 1...4) func `the product restores what maintenance leaves`(
        _ seed: Int
    ) async throws {
        let (store, required) = try await maintained(seed: UInt64(2000 + seed))
        let catalog = Catalog(store: store)
        let folder = TemporaryFolder()
        var random = SeededGenerator(seed: UInt64(seed))
        for _ in 0..<8 {
            let (agent, txid) = try #require(required.randomElement(using: &random))
            let generation = try await catalog.generation(agent.record.id)
            let lineage = try await Lineage.load(generation, from: catalog)
            let plan = try RestorePlanner(lineage).plan(for: txid)
            var restorer = Restorer(
                catalog: catalog,
                output: folder.file("restored.db"),
                executor: Self.executor
            )
            restorer.replaces = true
            let result = try await restorer.run(plan) { _ in plan }
            #expect(result.digest == agent.digests[txid], "\(agent.record.id) at \(txid)")
            #expect(result.plan.generation.id == agent.record.id)
        }
    }

    @Test(arguments: 1...3) func `the script restores what maintenance leaves`(
        _ seed: Int
    ) async throws {
        let own = Self.root.appending(path: ".build/oracle/bin/python3").path
        guard FileManager.default.isExecutableFile(atPath: own) else {
            print("not run: scripts/python.sh has not made .build/oracle yet")
            return
        }
        let (store, required) = try await maintained(seed: UInt64(2000 + seed))
        let folder = TemporaryFolder()
        for (key, bytes) in store.objects {
            let url = URL(filePath: folder.file("store/" + key.path))
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(),
                withIntermediateDirectories: true
            )
            try Data(bytes).write(to: url)
        }
        var random = SeededGenerator(seed: UInt64(seed))
        let script = Self.root.appending(path: "Tests/Oracle/restore.py").path
        for round in 0..<6 {
            let (agent, txid) = try #require(required.randomElement(using: &random))
            let output = folder.file("\(round).db")
            let arguments =
                [folder.file("store"), output, "--txid", txid.description]
                + ["--generation", agent.record.id.text] + (round % 2 == 0 ? ["--levels"] : [])
            let outcome = try await Self.executor.run {
                try PythonProgram.run(own, script, arguments)
            }
            #expect(outcome.status == 0, "\(outcome.output)")
            let file = try Data(contentsOf: URL(filePath: output))
            let expected = agent.states[txid]?.joined().map { $0 } ?? []
            #expect([UInt8](file) == expected, "\(agent.record.id) at \(txid)")
        }
    }
}
