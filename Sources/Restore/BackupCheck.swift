package import BackupCatalog
package import Bytes
package import ObjectStorage
import PageHashing
package import Platform
import SegmentFormat
import Synchronization

/// Checks a backup, as `highwater verify` and the agent do: what the store lists, what is in each
/// object, and whether the newest state can be rebuilt.
///
/// Agents store and maintenance deletes meanwhile, so that one look may see what is half done.
/// Nothing is missing or damaged that is not found so twice, with a pause between.
package struct BackupCheck: Sendable {
    /// How much is checked; each level does what the ones before it do.
    package enum Level: String, Sendable, CaseIterable {
        /// The names of the objects.
        case list
        /// Every byte of them.
        case checksum
        /// The newest state is rebuilt in a scratch file.
        case restore
    }

    /// The part of the objects that is read. Another one each day, all of them in turn.
    package struct Subset: Sendable {
        private let thousandths: UInt64
        private let day: UInt64

        /// A share of all objects, in thousandths, on the day of `time`.
        package init(thousandths: UInt64, on time: Timestamp) {
            self.thousandths = thousandths
            day = UInt64(max(0, time.milliseconds) / 86_400_000)
        }

        /// Whether an object is read.
        package func contains(_ key: ObjectKey) -> Bool {
            let number = Checksum64.of(Array(key.path.utf8)) % 1000
            return (number + day * thousandths) % 1000 < thousandths
        }
    }

    /// The state that was rebuilt.
    package struct Restored: Sendable {
        /// The generation that it is the newest of.
        package let generation: GenerationID
        /// Its commit.
        package let txid: TXID
        /// Its digest.
        package let digest: DatabaseDigest
        /// Its pages.
        package let pageCount: UInt32
    }

    /// What was found.
    package struct Outcome: Sendable {
        /// What was found in each generation that was looked at.
        package var generations: [BackupVerifier.Report] = []
        /// What is wrong, in all of them.
        package var findings: [BackupVerifier.Finding] = []
        /// The states that the level `restore` rebuilt: the newest one of each database.
        package var restored: [Restored] = []

        /// Nothing yet.
        package init() {}
    }

    /// Requests in flight, and tasks that decode.
    package var parallelism = Limits.defaultParallelism
    /// Memory for pages and objects, in bytes.
    package var memoryBytes = Limits.defaultMemoryBytes
    /// Which objects are read.
    package var subset = Subset(thousandths: 1000, on: Timestamp(milliseconds: 0))
    /// Where the scratch file of the level `restore` lies while it is needed.
    package var scratchFolder = ScratchFolder.standard
    /// Lets SQLite check that file.
    package var checkFile: (@Sendable (_ path: String) async throws -> Void)?
    /// Between two looks, in nanoseconds; it doubles each time.
    package var pause: Int64 = Limits.lookPauseNanoseconds
    /// Takes warnings for the user.
    package var warn: @Sendable (String) -> Void = { _ in }
    /// Where it has come.
    package let progress = RestoreProgress()

    private let catalog: Catalog
    private let executor: ThreadExecutor

    /// A check of what `catalog` describes, on threads of `executor`.
    package init(catalog: Catalog, executor: ThreadExecutor) {
        self.catalog = catalog
        self.executor = executor
    }

    /// Looks at one generation, or at all of them. `restore` rebuilds the newest state of that
    /// generation, else of `newest`, else of the one that a restore would choose, and where several
    /// databases share the store of each one.
    ///
    /// - Throws: `nothingFound` when there is no backup; `StoreError` when the store does not
    ///   serve; whatever else is no finding.
    package func run(
        _ level: Level,
        only generation: Generation? = nil,
        newest: GenerationID? = nil
    ) async throws -> Outcome {
        var outcome = Outcome()
        let chosen = if let generation { [generation] } else { try await generations(&outcome) }
        for generation in chosen {
            guard let report = try await look(at: generation, reads: level != .list) else {
                continue
            }
            outcome.generations.append(report)
            outcome.findings += report.findings
        }
        guard !outcome.generations.isEmpty || !outcome.findings.isEmpty else {
            throw nothingFound
        }
        if level == .restore { try await rehearse(generation, newest, &outcome) }
        return outcome
    }

    private var nothingFound: CatalogError {
        CatalogError(
            .nothingFound,
            object: catalog.layout.root,
            "there is no backup here; check the URL"
        )
    }

    /// All generations. One that has just begun may get its description last.
    private func generations(_ outcome: inout Outcome) async throws -> [Generation] {
        let list = try await catalog.generations()
        guard !list.generations.isEmpty || !list.damaged.isEmpty else { throw nothingFound }
        var found = list.generations
        if !list.damaged.isEmpty { try await Pause.sleep(nanoseconds: pause) }
        for (id, _) in list.damaged {
            do {
                found.append(try await catalog.generation(id))
            } catch let error as CatalogError {
                guard error.code != .nothingFound else { continue }
                outcome.findings.append(.init(.corrupt, id.text, "\(error)"))
            }
        }
        return found
    }

    /// Looks at a generation until what is found is certain; nil when it was deleted meanwhile.
    private func look(
        at generation: Generation,
        reads: Bool
    ) async throws -> BackupVerifier.Report? {
        let verifier = BackupVerifier(
            catalog: catalog,
            executor: executor,
            parallelism: parallelism,
            memoryBytes: memoryBytes,
            progress: progress
        )
        var report = try await verifier.verify(generation, reads: reads) { subset.contains($0) }
        var pause = pause
        var looks = 1
        while !report.seen.isEmpty, !report.isSettled, looks < Limits.looks {
            try await Pause.sleep(nanoseconds: pause)
            pause *= 2
            looks += 1
            do {
                let now = try await catalog.generation(generation.id)
                report = try await verifier.verify(now, reads: reads, after: report)
            } catch let error as CatalogError {
                guard error.code != .nothingFound else { return nil }
                report.findings = [.init(.corrupt, generation.id.text, "\(error)")]
                return report
            }
        }
        return report
    }

    // MARK: - The rehearsal

    private func rehearse(
        _ generation: Generation?,
        _ newest: GenerationID?,
        _ outcome: inout Outcome
    ) async throws {
        var isSecond = false
        var done: Set<GenerationID> = []
        while true {
            var current: GenerationID?
            do {
                for tip in try await tips(generation, newest) where !done.contains(tip.id) {
                    current = tip.id
                    try await rehearse(tip, &outcome)
                    done.insert(tip.id)
                    isSecond = false
                }
                return
            } catch {
                let isCertain = isSecond || (error as? RestoreError)?.code == .integrity
                guard Self.isDoubt(error) || Self.isConsequence(error, outcome) else { throw error }
                if isCertain {
                    outcome.findings.append(.init(.wrong, current?.text ?? "restore", "\(error)"))
                    guard let current else { return }
                    done.insert(current)
                } else {
                    try await Pause.sleep(nanoseconds: pause)
                }
                isSecond = !isCertain
            }
        }
    }

    private func tips(
        _ generation: Generation?,
        _ newest: GenerationID?
    ) async throws -> [Generation] {
        if let generation { return [generation] }
        if let newest { return [try await catalog.generation(newest)] }
        return try await catalog.newestGenerations()
    }

    /// Whether an error says that the state cannot be rebuilt as it was recorded.
    private static func isDoubt(_ error: any Error) -> Bool {
        switch error {
        case let error as RestoreError:
            [.outsideWindow, .hole, .integrity, .vanished].contains(error.code)
        case let error as CatalogError: [.damaged, .unsupported, .forked].contains(error.code)
        case let error as StoreError: error.code == .damaged
        default: error is SegmentError
        }
    }

    /// Whether it only follows from what was found already.
    private static func isConsequence(_ error: any Error, _ outcome: Outcome) -> Bool {
        guard let error = error as? CatalogError, !outcome.findings.isEmpty else { return false }
        return error.code == .noBase || error.code == .nothingFound
    }

    private func rehearse(_ generation: Generation, _ outcome: inout Outcome) async throws {
        let warnings = Warnings()
        var restorer = Restorer(
            catalog: catalog,
            output: "\(scratchFolder)/highwater-verify",
            executor: executor
        )
        restorer.parallelism = parallelism
        restorer.memoryBytes = memoryBytes
        restorer.check = checkFile
        restorer.warn = { [warn] text in
            warnings.add(text)
            warn(text)
        }
        let found = try await PlannedTarget.find(.latest, of: generation, writer: nil, in: catalog)
        var avoided: Set<ObjectKey> = []
        let result = try await restorer.rehearse(found.plan) { excluded in
            avoided = excluded
            return try await found.again(without: excluded)
        }
        // What is gone since was deleted because nothing needs it, or the list says that it is
        // missing; what is still there cannot be used.
        for key in avoided.sorted() where try await catalog.store.head(key) != nil {
            guard !outcome.findings.contains(where: { $0.object == key.path }) else { continue }
            let why = warnings.about(key) ?? "it cannot be used"
            outcome.findings.append(.init(.corrupt, key.path, "in a restore: \(why)"))
        }
        outcome.restored.append(
            Restored(
                generation: generation.id,
                txid: found.txid,
                digest: result.digest,
                pageCount: result.pageCount
            )
        )
    }
}

/// What a rehearsal warned of.
private final class Warnings: Sendable {
    private let texts = Mutex<[String]>([])

    func add(_ text: String) { texts.withLock { $0.append(text) } }

    func about(_ key: ObjectKey) -> String? {
        texts.withLock { $0.first { $0.contains(key.path) } }
    }
}
