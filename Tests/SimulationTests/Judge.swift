import BackupCatalog
import Bytes
import Digests
import Foundation
import ObjectStorage
import Platform
import Restore
import TestSupport

/// What was ever committed, and what the backup has to hold.
struct Truth {
    /// Each state, by the SHA-256 of its database, with its number.
    private(set) var states: [String: Int] = [:]
    private var successors: Set<[Int]> = []
    /// The state that a TXID must restore to, seen when the follower had copied everything.
    var expected: [GenerationID: [TXID: String]] = [:]
    /// The last TXID that was reported durable.
    var durable: [GenerationID: TXID] = [:]
    /// Commits that stand for several. Retention may leave nothing that says so.
    var bridges: [GenerationID: Set<TXID>] = [:]
    /// The TXIDs that were reported durable, with the time at which each was copied at the latest,
    /// in the world's time: what retention goes by, whenever the upload came to its end.
    var durableAt: [GenerationID: [(txid: TXID, time: Timestamp)]] = [:]
    private var copiedAt: [GenerationID: [(txid: TXID, time: Timestamp)]] = [:]

    /// A commit leads from one state to another.
    mutating func commit(from old: String?, to new: String) {
        let number = states[new] ?? states.count
        states[new] = number
        if let old, let from = states[old] { successors.insert([from, number]) }
    }

    /// What was expected of TXIDs that never reached the store holds no longer.
    mutating func forget(after txid: TXID, in generation: GenerationID) {
        expected[generation] = expected[generation]?.filter { $0.key <= txid }
        copiedAt[generation]?.removeAll { $0.txid > txid }
    }

    /// The agent has copied everything up to this TXID.
    mutating func copied(_ txid: TXID, of generation: GenerationID, at time: Timestamp) {
        if let last = copiedAt[generation]?.last, last.txid >= txid { return }
        copiedAt[generation, default: []].append((txid, time))
    }

    /// When that TXID had been copied.
    func copyTime(of txid: TXID, of generation: GenerationID) -> Timestamp? {
        copiedAt[generation]?.first { $0.txid >= txid }?.time
    }

    func isCommit(from old: String, to new: String) -> Bool {
        guard let from = states[old], let to = states[new] else { return false }
        return from == to || successors.contains([from, to])
    }
}

/// Restores states with the program's own restore, over the bucket as it is, and compares.
struct Judge {
    let truth: Truth
    let store: MemoryStore
    let folder: String
    /// How many states are restored at most.
    var restoreCount = 40
    /// States before may be gone.
    var keptSince: Timestamp?
    /// Two histories may go on from one commit: an object arrived after its sender's death, when
    /// the next agent had looked. Restore has to say so; nobody was told that it was durable.
    var mayFork = false

    struct Verdict: Sendable {
        var violations: [String] = []
        var restored = 0
        var forks = 0
    }

    static let executor = ThreadExecutor(threads: 3)

    /// Everything that is wrong. Blocks.
    func judge(seed: UInt64) -> Verdict {
        let box = ResultBox()
        let done = Semaphore()
        Task(executorPreference: Self.executor) {
            do { box.verdict = try await self.verdict(seed: seed) } catch {
                box.verdict.violations.append("the judge failed: \(error)")
            }
            done.signal()
        }
        done.wait()
        return box.verdict
    }

    private final class ResultBox: @unchecked Sendable {
        // Sendable: written before the signal, read after it.
        var verdict = Verdict()
    }

    private func verdict(seed: UInt64) async throws -> Verdict {
        var verdict = Verdict()
        var random = SeededGenerator(seed: seed ^ 0x5eed)
        let catalog = Catalog(store: store)
        let list = try await catalog.generations()
        for (id, error) in list.damaged where truth.durable[id] != nil {
            // A claim that arrives late stands again where retention has deleted all the rest.
            let left = try await store.list(prefix: "highwater-1/\(id)/")
            if mayFork, left.allSatisfy({ $0.key.path.contains("/writers/") }) { continue }
            verdict.violations.append("generation \(id) is damaged: \(error)")
        }
        let share = max(2, restoreCount / max(1, list.generations.count))
        for generation in list.generations {
            do {
                try await check(generation, share, catalog, &random, &verdict)
            } catch let error as CatalogError where error.code == .forked && mayFork {
                verdict.forks += 1
            }
        }
        return verdict
    }

    private func check(
        _ generation: Generation,
        _ share: Int,
        _ catalog: Catalog,
        _ random: inout SeededGenerator,
        _ verdict: inout Verdict
    ) async throws {
        let lineage = try await Lineage.load(generation, from: catalog)
        let windows = lineage.windows
        for (txid, time) in truth.durableAt[generation.id] ?? [] {
            let isKept = keptSince.map { time >= $0 } ?? true
            if isKept, !windows.contains(where: { $0.contains(txid) }) {
                verdict.violations.append(
                    "TXID \(txid) of \(generation.id) was durable; there are "
                        + lineage.windowText
                )
            }
        }
        let states = windows.flatMap { window in
            (window.lowerBound.rawValue...window.upperBound.rawValue).map { TXID($0) }
        }
        guard !states.isEmpty else { return }
        let first = max(0, states.count - share)
        let start = first == 0 ? 0 : Int(random.next() % UInt64(first + 1))
        let bridges = try await bridges(lineage, catalog)
        var last: (txid: TXID, hash: String)?
        for txid in states.dropFirst(start).prefix(share) + [states[states.count - 1]] {
            let hash = try await restore(txid, of: lineage, catalog)
            verdict.restored += 1
            let place = "TXID \(txid) of \(generation.id)"
            if truth.states[hash] == nil {
                verdict.violations.append("\(place) restores to a state that never existed")
            }
            if let expected = truth.expected[generation.id]?[txid], expected != hash {
                verdict.violations.append("\(place) restores to another state than committed")
            }
            if let last, last.txid.next == txid, !bridges.contains(txid),
                !truth.isCommit(from: last.hash, to: hash)
            {
                verdict.violations.append("\(place) does not follow the state before it")
            }
            last = (txid, hash)
        }
    }

    private func bridges(_ lineage: Lineage, _ catalog: Catalog) async throws -> Set<TXID> {
        var found: Set<TXID> = []
        let history = CommitHistory(lineage, catalog: catalog, filter: .init())
        try await history.list { if $0.kind == "bridge" { found.insert($0.txid) } }
        for member in lineage.members {
            found.formUnion(truth.bridges[member.timeline.generation.id] ?? [])
        }
        return found
    }

    private func restore(_ txid: TXID, of lineage: Lineage, _ catalog: Catalog) async throws
        -> String
    {
        let output = folder + "/restored.db"
        defer { try? FileSystem.remove(output) }
        let plan = try RestorePlanner(lineage).plan(for: txid)
        let restorer = Restorer(catalog: catalog, output: output, executor: Self.executor)
        _ = try await restorer.run(plan) { _ in plan }
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: output)))
        return Digest.sha256(bytes).map { String(format: "%02x", $0) }.joined()
    }
}
