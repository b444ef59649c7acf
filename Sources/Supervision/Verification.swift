import BackupCatalog
import Bytes
import Configuration
import ObjectStorage
import Platform
import Replication
import Restore
import Synchronization

/// What the verifications of a process share: threads of their own, and the gate that lets one in
/// at a time.
final class VerificationDesk: Sendable {
    let gate = TaskGate(width: 1)
    private let threads = Mutex<ThreadExecutor?>(nil)

    /// The threads, made when they are first needed.
    var executor: ThreadExecutor {
        threads.withLock { threads in
            let executor =
                threads
                ?? ThreadExecutor(
                    threads: SupervisionLimits.verificationThreads,
                    niceness: SupervisionLimits.verificationNiceness
                )
            threads = executor
            return executor
        }
    }
}

/// Verifies the backup of one database at one place, as `highwater verify` does.
struct Verification: Sendable {
    let assignment: Assignment
    let desk: VerificationDesk
    /// Opens the store. Looks at the disk.
    let open: @Sendable () throws -> any ObjectStore
    /// Lets SQLite check a file.
    let checkFile: FleetHost.FileCheck
    /// How replication is doing.
    let reading: @Sendable () -> AgentMeter.Reading
    /// Changes what is known of verifications.
    let update: @Sendable ((inout VerificationRecord) -> Void) -> Void
    let log: ReplicationLog

    /// Verifies by the schedule until a stop is requested.
    func run(until stop: StopRequest) async {
        let schedule = VerificationSchedule(
            interval: assignment.verify.interval,
            gate: desk.gate
        )
        await schedule.run(until: stop) { await attempt(until: stop) }
    }

    /// Verifies once, unless the backup is just beginning.
    func attempt(until stop: StopRequest) async -> VerificationSchedule.Attempt {
        let before = reading()
        guard Self.isReady(before) else { return .later }
        let began = MonotonicTime.now
        let result = await outcome(generation: before.generation, until: stop)
        // Whoever is told to stop has found nothing out.
        guard let result, !stop.isRequested, !Task.isCancelled else { return .later }
        let after = reading()
        let isSame =
            before.attachments == after.attachments && before.generation == after.generation
        switch result {
        case .success(let outcome) where isSame || outcome.findings.isEmpty:
            conclude(outcome.findings, seconds: Double(MonotonicTime.now - began) / 1e9)
            return .done
        case .success:
            log(.debug, "verification: the agent began anew meanwhile, will be tried again", [])
            return .later
        case .failure(let error as CatalogError)
        where error.code == .nothingFound && before.generation == nil:
            // The application has not made its database yet.
            log(.debug, "verification: there is no backup yet", [])
            return .later
        case .failure(let error):
            update { $0.addFailure() }
            log(
                .warning,
                "the backup could not be verified, will be tried again",
                [("url", "\(assignment.place)"), ("error", "\(error)")]
            )
            return .later
        }
    }

    /// While a base is on its way to the store nothing can be restored yet, and nothing is wrong.
    private static func isReady(_ reading: AgentMeter.Reading) -> Bool {
        switch reading.phase {
        case .running: reading.durable != nil
        case .starting: false
        case .waiting, .stopped, .failed: true
        }
    }

    /// What is found; nil when a stop was requested first.
    private func outcome(
        generation: GenerationID?,
        until stop: StopRequest
    ) async -> Result<BackupCheck.Outcome, any Error>? {
        await withTaskGroup(of: Result<BackupCheck.Outcome, any Error>?.self) { group in
            group.addTask(executorPreference: desk.executor) {
                do { return .success(try await check(generation)) } catch { return .failure(error) }
            }
            group.addTask {
                await stop.made()
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    private func check(_ generation: GenerationID?) async throws -> BackupCheck.Outcome {
        let (desk, checkFile) = (desk, checkFile)
        let store = try await desk.executor.run(open)
        var check = BackupCheck(catalog: Catalog(store: store), executor: desk.executor)
        check.parallelism = SupervisionLimits.verificationParallelism
        check.memoryBytes = SupervisionLimits.verificationMemoryBytes
        check.pause = SupervisionLimits.verificationLookPause
        check.subset = .init(thousandths: assignment.verify.share, on: .now)
        check.checkFile = { try await checkFile($0, desk.executor) }
        let level = BackupCheck.Level(rawValue: assignment.verify.level.rawValue) ?? .restore
        do {
            return try await check.run(level, newest: generation)
        } catch let error as CatalogError where error.code == .nothingFound && generation != nil {
            // A folder that is not there is a disk that is not mounted; one that is there is empty.
            if case .folder(let path) = assignment.place {
                let isThere = try await desk.executor.run {
                    try FileSystem.status(path)?.isFolder == true
                }
                guard isThere else { throw error }
            }
            var outcome = BackupCheck.Outcome()
            let text = "it is empty, though commits of this database were stored there"
            outcome.findings = [.init(.missing, "\(assignment.place)", text)]
            return outcome
        }
    }

    private func conclude(_ findings: [BackupVerifier.Finding], seconds: Double) {
        var before = 0
        update { record in
            before = record.findings ?? 0
            record.add(findings: findings.count, at: .now, seconds: seconds)
        }
        guard !findings.isEmpty else {
            return log(
                before > 0 ? .info : .debug,
                before > 0 ? "the backup is in doubt no more" : "the backup was verified",
                [("seconds", "\(seconds)")]
            )
        }
        let remedy = "highwater verify \(assignment.place); see docs/OPERATIONS.md"
        // One hole leaves very many objects that nothing leads to: they come last.
        let order: [BackupVerifier.Finding.Kind] = [.wrong, .corrupt, .forked, .missing]
        let sorted = order.flatMap { kind in findings.filter { $0.kind == kind } }
        for finding in sorted.prefix(SupervisionLimits.findingsLogged) {
            log(
                .error,
                "the backup is in doubt",
                [
                    ("kind", finding.kind.rawValue), ("object", finding.object),
                    ("finding", finding.message), ("remedy", remedy),
                ]
            )
        }
        let rest = findings.count - SupervisionLimits.findingsLogged
        if rest > 0 { log(.error, "more of the backup is in doubt", [("findings", "\(rest)")]) }
    }
}
