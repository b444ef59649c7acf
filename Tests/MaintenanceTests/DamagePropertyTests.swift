import BackupCatalog
import Bytes
import Foundation
import Glibc
import ObjectStorage
import Platform
import Restore
import TestSupport
import Testing

/// Random damage to what maintenance leaves: children, holes, packs, levels, snapshots.
///
/// A restore, a patch or an undo gives the exact state or an error; and whenever one fails that
/// did not fail before, a check of the backup finds something.
@Suite struct DamagePropertyTests {
    private static let executor = ThreadExecutor(threads: 3)

    /// `DAMAGE_ROUNDS=1000` damages each store that often.
    private static let rounds =
        getenv("DAMAGE_ROUNDS").flatMap { Int(String(cString: $0)) } ?? 25

    @Test(arguments: 1...6, [0, 1]) func `what is wrong is never handed over, and is found`(
        _ seed: Int,
        _ isYoung: Int
    ) async throws {
        var trial = try await Trial(
            seed: UInt64(7000 + seed * 10 + isYoung),
            rounds: isYoung == 1 ? 0 : 2,
            executor: Self.executor
        )
        for _ in 0..<Self.rounds { try await trial.round() }
    }
}

/// One store, its damage, and what came of it.
private struct Trial {
    let whole: MemoryStore
    let states: [(generation: GenerationID, txid: TXID, content: [UInt8])]
    let folder = TemporaryFolder()
    let executor: ThreadExecutor
    var random: SeededGenerator
    var said: [String] = []

    /// A random history after some rounds of maintenance.
    init(seed: UInt64, rounds: Int, executor: ThreadExecutor) async throws {
        self.executor = executor
        random = SeededGenerator(seed: seed)
        let history = try await RandomHistory(seed: seed, steps: 50)
        whole = history.store
        for minutes in [5, 90].prefix(rounds) {
            let now = Timestamp(
                milliseconds: history.now.milliseconds + Int64(minutes) * RandomHistory.minute
            )
            whole.now = now
            let maintainer = history.maintainer(clock: now)
            try await maintainer.run()
            try await maintainer.levelAll()
        }
        var found: [(GenerationID, TXID, [UInt8])] = []
        let end = history.now.milliseconds + 90 * RandomHistory.minute
        for (agent, txid) in history.required(at: Timestamp(milliseconds: end)) {
            found.append((agent.record.id, txid, agent.states[txid]!.flatMap { $0 }))
        }
        states = found
    }

    mutating func round() async throws {
        let store = whole.copy()
        said = []
        for _ in 0..<[1, 1, 1, 2, 3].randomElement(using: &random)! { damage(store) }
        var failure: String?
        for way in [Way.restore, .patch, .undo] {
            let state = states.randomElement(using: &random)!
            let start = states.randomElement(using: &random)!.content
            do {
                let content = try await way.run(
                    state.generation,
                    state.txid,
                    from: start,
                    Catalog(store: store),
                    folder,
                    executor
                )
                #expect(content == state.content, "\(way) of \(state.txid) after \(said)")
            } catch {
                failure = "\(way) of \(state.generation) at \(state.txid): \(error)"
            }
            #expect(folder.names.isEmpty, "\(folder.names) are left after \(said)")
        }
        guard let failure, !mayBeUnseen(in: store) else { return }
        for level in [BackupCheck.Level.checksum, .restore] {
            let findings = try await findings(level, store)
            #expect(!findings.isEmpty, "\(level) finds nothing after \(said), but \(failure)")
        }
    }

    /// Whether it may look as if it had never been stored: the last log of a generation is gone.
    private func mayBeUnseen(in store: MemoryStore) -> Bool {
        said.allSatisfy { text in
            guard text.hasPrefix("deleted"), text.contains("/00/") else { return false }
            let key = text.dropFirst("deleted ".count)
            let folder = key[...key.lastIndex(of: "/")!]
            return !store.objects.keys.contains { $0.path.hasPrefix(folder) && $0.path > key }
        }
    }

    private func findings(_ level: BackupCheck.Level, _ store: MemoryStore) async throws -> [String]
    {
        var check = BackupCheck(catalog: Catalog(store: store), executor: executor)
        check.pause = 0
        check.scratchFolder = folder.path
        do {
            return try await check.run(level).findings.map { "\($0)" }
        } catch let error as CatalogError where error.code == .nothingFound {
            return ["nothing is there"]
        }
    }

    // MARK: - Damage

    private mutating func damage(_ store: MemoryStore) {
        let keys = store.objects.keys.sorted()
        let key = keys.randomElement(using: &random)!
        let other = keys.randomElement(using: &random)!
        var bytes = store.objects[key]!
        switch random.next(below: 9) {
        case 0:
            store.objects[key] = nil
            said.append("deleted \(key)")
        case 1:
            store.objects[key] = Array(bytes.prefix(random.next(below: bytes.count + 1)))
            said.append("cut \(key)")
        case 2...4:
            guard !bytes.isEmpty else { return }
            bytes[random.next(below: bytes.count)] ^= 1 << random.next(below: 8)
            store.objects[key] = bytes
            said.append("flipped \(key)")
        case 5:
            store.objects[key] = store.objects[other]
            store.objects[other] = bytes
            said.append("swapped \(key) and \(other)")
        case 6:
            store.objects[key] = store.objects[other]
            said.append("replaced \(key) by \(other)")
        case 7: rename(key, like: other, in: store)
        default:
            store.objects[key] = bytes + [UInt8](repeating: 7, count: 1 + random.next(below: 300))
            said.append("lengthened \(key)")
        }
    }

    /// A copy of an object under a name that it might have had.
    private mutating func rename(_ key: ObjectKey, like other: ObjectKey, in store: MemoryStore) {
        var parts = key.path.split(separator: "-").map(String.init)
        let theirs = other.path.split(separator: "-").map(String.init)
        guard parts.count == theirs.count, parts.count > 3 else { return }
        let number = parts.count - 3 + random.next(below: 2)
        parts[number] = theirs[number]
        guard let name = ObjectKey(parts.joined(separator: "-")) else { return }
        store.objects[name] = store.objects[key]
        said.append("copied \(key) to \(name)")
    }
}

/// How a state is made.
private enum Way {
    case restore, patch, undo

    func run(
        _ id: GenerationID,
        _ txid: TXID,
        from start: [UInt8],
        _ catalog: Catalog,
        _ folder: TemporaryFolder,
        _ executor: ThreadExecutor
    ) async throws -> [UInt8] {
        let output = folder.file("out.db")
        defer { for name in folder.names { unlink(folder.file(name)) } }
        let found = try await PlannedTarget.find(
            .txid(txid),
            of: try await catalog.generation(id),
            writer: nil,
            in: catalog
        )
        var restorer = Restorer(catalog: catalog, output: output, executor: executor)
        restorer.replaces = true
        if self == .restore {
            _ = try await restorer.run(found.plan) { try await found.again(without: $0) }
        } else {
            let seed = folder.file("seed.db")
            try Data(start).write(to: URL(filePath: seed))
            defer { unlink(seed) }
            var patcher = PatchRestorer(restorer) { copy in
                try await executor.run { try copy.copy(from: seed) }
            }
            if self == .undo {
                let lineage = try await Lineage.load(found.generation, from: catalog) {
                    $0.members.contains { $0.timeline.generation.id == found.plan.generation.id }
                }
                patcher.undo = try await UndoPlan(after: txid, on: lineage, catalog: catalog)
            }
            _ = try await patcher.run(found.plan)
        }
        return Array(try Data(contentsOf: URL(filePath: output)))
    }
}

extension SeededGenerator {
    fileprivate mutating func next(below bound: Int) -> Int {
        Int.random(in: 0..<bound, using: &self)
    }
}
