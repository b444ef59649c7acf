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
    /// When each TXID became durable at the latest, in the world's time.
    var durableAt: [GenerationID: [(txid: TXID, time: Timestamp)]] = [:]

    /// A commit leads from one state to another.
    mutating func commit(from old: String?, to new: String) {
        let number = states[new] ?? states.count
        states[new] = number
        if let old, let from = states[old] { successors.insert([from, number]) }
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

    struct Verdict: Sendable {
        var violations: [String] = []
        var restored = 0
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
            verdict.violations.append("generation \(id) is damaged: \(error)")
        }
        for generation in list.generations {
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
            guard !states.isEmpty else { continue }
            let share = max(2, restoreCount / list.generations.count)
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
        return verdict
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
