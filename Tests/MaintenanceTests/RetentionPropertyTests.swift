import BackupCatalog
import Bytes
import Foundation
import Maintenance
import ObjectStorage
import SegmentFormat
import TestSupport
import Testing

/// Whatever happened before, and wherever maintenance dies, every state of the window restores.
@Suite struct RetentionPropertyTests {
    /// `MAINTENANCE_SEEDS=10` tries ten times as many.
    private static func seeds(_ count: Int) -> ClosedRange<Int> {
        let factor = ProcessInfo.processInfo.environment["MAINTENANCE_SEEDS"].flatMap { Int($0) }
        return 1...count * max(1, factor ?? 1)
    }

    private func maintainer(_ store: MemoryStore, _ now: Timestamp) -> Maintainer {
        Maintainer(
            catalog: Catalog(store: store),
            rules: RandomHistory.rules,
            writer: WriterTag(7),
            host: "maintenance",
            clock: { now }
        )
    }

    /// Checks every required state: each by walking the log, some by the cheapest path as well.
    private func check(
        _ history: RandomHistory,
        _ store: MemoryStore,
        at now: Timestamp,
        paths: Int,
        _ place: String
    ) async throws {
        let reader = try await ReferenceReader(Catalog(store: store))
        var random = SeededGenerator(seed: UInt64(paths))
        let required = history.required(at: now)
        #expect(!required.isEmpty)
        var found: [GenerationID: [TXID: DatabaseDigest]] = [:]
        for (agent, txid) in required where found[agent.record.id]?[txid] == nil {
            let id = agent.record.id
            do {
                try await reader.walk(from: txid, of: id) {
                    found[id, default: [:]][$0.txid] = $0.digest
                }
            } catch {
                Issue.record("\(place): \(id) at \(txid): \(error)")
                return
            }
        }
        for (agent, txid) in required {
            let digest = found[agent.record.id]?[txid]
            #expect(digest == agent.digests[txid], "\(place): \(agent.record.id) at \(txid)")
        }
        for _ in 0..<paths {
            guard let (agent, txid) = required.randomElement(using: &random) else { return }
            let state = try await reader.state(at: txid, of: agent.record.id)
            #expect(
                state.digest == agent.digests[txid],
                "\(place): the path to \(agent.record.id) at \(txid)"
            )
        }
    }

    @Test(arguments: seeds(8))
    func `histories restore at every state, by log and by levels`(_ seed: Int) async throws {
        let history = try await RandomHistory(seed: UInt64(seed), steps: 60)
        let long = Timestamp(milliseconds: 0)
        try await check(history, history.store, at: long, paths: 30, "seed \(seed)")
    }

    @Test(arguments: seeds(4))
    func `maintenance may die at every change`(_ seed: Int) async throws {
        let history = try await RandomHistory(seed: UInt64(1000 + seed), steps: 60)
        // Some time passes, and then maintenance comes twice: to close, and to delete.
        var store = history.store
        for (round, minutes) in [0, 30, 60, 200].enumerated() {
            let now = Timestamp(
                milliseconds: history.now.milliseconds + Int64(minutes) * RandomHistory.minute
            )
            store.now = now
            store = try await interrupted(history, store, now, "seed \(seed), round \(round)")
        }
        #expect(store.objects.count < history.store.objects.count)
    }

    /// Lets maintenance die after each of its changes, on copies; returns the store of a whole one.
    ///
    /// Between two changes it only reads, so these are all the states that a death can leave.
    private func interrupted(
        _ history: RandomHistory,
        _ store: MemoryStore,
        _ now: Timestamp,
        _ place: String
    ) async throws -> MemoryStore {
        for change in 0... {
            let copy = store.copy()
            let count = RequestCount()
            copy.setHook { request in
                guard request.operation == .put || request.operation == .delete else { return nil }
                let number = count.next()
                return number < change
                    ? nil : number == change ? .after(.unreachable) : .before(.unreachable)
            }
            do {
                try await maintainer(copy, now).run()
                copy.setHook(nil)
                try await check(history, copy, at: now, paths: 3, "\(place), whole")
                return copy
            } catch let error as StoreError where error.code == .unreachable {
                copy.setHook(nil)
            }
            try await check(history, copy, at: now, paths: 1, "\(place), died at \(change)")
            try await maintainer(copy, now).run()
            try await check(history, copy, at: now, paths: 1, "\(place), after \(change)")
        }
        return store
    }
}
