import BackupCatalog
import Bytes
package import Hazards
import Maintenance
import ObjectStorage
import Platform
import SQLiteAccess
import SegmentFormat

/// Replicates one database to one store until it is told to stop.
///
/// A class, and small, since each of its suspended tasks keeps what it uses.
package final class Agent: Sendable {
    /// What it was told.
    package let settings: AgentSettings
    /// The hazards found so far.
    package let alarm = HazardAlarm()

    /// An agent that does nothing yet.
    package init(_ settings: AgentSettings) { self.settings = settings }

    /// The database's path as the user named it.
    package var databasePath: String { settings.databasePath }
    var destination: Destination { settings.destination }
    var host: ReplicationHost { settings.host }
    var stop: StopRequest { settings.stop }
    var log: ReplicationLog { settings.log }
    var meter: AgentMeter { settings.meter }

    /// What goes wrong while a database is followed and may pass: attaching anew is tried for as
    /// long as it takes. The store and the WAL have all that is needed to go on.
    private static func isPassing(_ error: any Error) -> Bool {
        switch error {
        case let error as ReplicationError: error.isRetryable
        case let error as SystemError: error.isRetryable
        // "Not a database", too: what another kernel has just torn may be whole again, and what is
        // none will be named so by the next look at it.
        case let error as SQLiteError: !error.isAccessDenied
        case let error as StoreError: error.isRetryable
        default: false
        }
    }

    /// Runs until the stop is requested and the last commits are durable.
    package func run() async throws {
        var mayContinue = true
        var backOff = BackOff(first: Limits.attachPauseMin, most: Limits.attachPauseMax)
        var isFirst = true
        while true {
            guard
                let path = try await DatabaseWait.ready(
                    databasePath,
                    stop: stop,
                    executor: host.executor,
                    log: log
                )
            else { return }
            meter.update { reading in
                reading.phase = .starting
                reading.attachments += 1
            }
            let watch = try await guardStart(path, isFirst: isFirst)
            isFirst = false
            let began = MonotonicTime.now
            do {
                try await watch.during(on: host.executor) { [mayContinue] in
                    try await replicate(path, mayContinue: mayContinue)
                }
                return
            } catch  where Self.isPassing(error) && !stop.isRequested {
                log(
                    .error,
                    "following stopped, attaching again",
                    [("database", databasePath), ("reason", "\(error)")]
                )
                meter.update { $0.problem = "\(error)" }
                let code = (error as? ReplicationError)?.code
                mayContinue = code != .superseded
                if code == .superseded { meter.update { $0.otherAgents += 1 } }
                if code == .backlogTooLarge { try await waitForStore(giveUpAt: path) }
                if MonotonicTime.now - began > Limits.attachPauseMax { backOff.succeeded() }
                backOff.failed(.now)
                await stop.pause(nanoseconds: backOff.interval)
            }
        }
    }

    /// One attachment: from finding out where the store ends to the last upload.
    private func replicate(_ path: String, mayContinue: Bool) async throws {
        let start = StartSlot(destination.starts)
        await start.take()
        defer { start.giveBack() }
        try host.descriptors.take(for: databasePath)
        defer { host.descriptors.giveBack() }
        let begin = FollowerStart(
            path: path,
            displayPath: databasePath,
            writer: host.writer,
            version: host.version,
            local: LocalState(databasePath: path, place: destination.name),
            syncInterval: settings.syncInterval,
            alarm: alarm,
            mayContinue: mayContinue,
            log: log
        )
        begin.outage = settings.outage
        let maintenance = settings.maintenance
        let hasLevels = maintenance.isEnabled && !maintenance.levels.periods.isEmpty
        begin.levels = hasLevels ? maintenance.levels : nil
        let owner = try await host.executor.run { try begin.open() }
        guard let end = try await endOfBackup(owner: owner, begin) else {
            throw ReplicationError(
                .notDurable,
                "the store did not answer, so nothing of '\(databasePath)' was sent; what its WAL "
                    + "holds will be sent at the next start"
            )
        }
        let wanted = try await host.executor.run { try begin.attach(tip: end.tip) }
        let restored = try await restoredState(for: begin)
        let index = restored == nil ? try await pageHashes(for: begin, searching: wanted) : nil
        let ownership = try await own(begin, index: index, restored: restored)
        try await follow(begin, ownership: ownership) { [freed = host.freed] in
            start.giveBack()
            freed.giveBackSoon()
        }
    }

    /// Follows the database, sends what it commits, and maintains the backup, until the follower
    /// ends.
    private func follow(
        _ begin: FollowerStart,
        ownership: Ownership,
        whenSettled: @Sendable @escaping () -> Void
    ) async throws {
        let (host, stop, meter) = (host, stop, meter)
        let signal = host.loop.newSignal()
        let lanes = UploadLanes(signal: signal, memory: host.memory)
        let rounds = MaintenanceRounds(
            settings: settings.maintenance,
            databasePath: databasePath,
            store: destination.store,
            writer: host.writer,
            ownership: ownership,
            lanes: lanes,
            gate: destination.maintenance,
            freed: host.freed,
            log: log
        )
        // Maintenance ends with the follower, not before: the last commits may wait for the store.
        let ended = StopRequest()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for queue in [lanes.log, lanes.snapshots] {
                let uploader = Uploader(
                    queue: queue,
                    destination: destination,
                    ownership: ownership,
                    meter: meter,
                    log: log
                )
                group.addTask(executorPreference: host.executor) { await uploader.run() }
            }
            group.addTask(executorPreference: host.executor) { await rounds.run(until: ended) }
            group.addTask(executorPreference: host.executor) {
                defer {
                    lanes.close()
                    ended.request()
                }
                let hosted = try await host.executor.run {
                    let follower = try begin.follower(lanes: lanes, signal: signal)
                    follower.whenSettled = whenSettled
                    follower.meter = meter
                    return HostedFollower(follower, id: signal.id)
                }
                meter.began(generation: begin.generation, isBridged: begin.isBridged)
                defer { meter.follow(nil) }
                try await host.loop.follow(hosted, stop: stop) {
                    meter.follow { host.loop.sync(signal.id, $0) }
                }
            }
            do {
                for try await _ in group {}
            } catch {
                lanes.close()
                group.cancelAll()
                throw error
            }
        }
    }

    /// Decides how the history goes on, and claims the generation if it exists already.
    private func own(
        _ begin: FollowerStart,
        index: PageHashIndex?,
        restored: PageHashIndex.Match?
    ) async throws -> Ownership {
        let ownership = Ownership(
            store: destination.store,
            interval: settings.claimLookInterval,
            newest: begin.tip?.newest,
            report: { [meter, log, databasePath] rival in
                let text = RivalWatch.report(rival, beside: databasePath)
                log(.error, text, [("generation", "\(rival.id)"), ("host", rival.record.host)])
                meter.update { reading in
                    reading.otherAgents += 1
                    reading.problem = text
                }
            }
        )
        let goesOn = try await host.executor.run {
            try begin.decide(index: index, restored: restored)
        }
        if let goesOn {
            try await ownership.claim(goesOn.generation, writer: host.writer, after: goesOn.after)
        } else if let generation = begin.generation {
            ownership.begin(generation, parent: begin.parent)
        }
        return ownership
    }

    /// What the store says of earlier backups.
    private struct EndOfBackup {
        let tip: StoreTip?
    }

    /// Asks the store where the backup ends, for as long as it takes to answer; nil when a stop was
    /// requested first. Our first pin is held meanwhile.
    private func endOfBackup(
        owner: Hash128,
        _ begin: FollowerStart
    ) async throws -> EndOfBackup? {
        var pause = Limits.storePauseMin
        repeat {
            do {
                return EndOfBackup(
                    tip: try await StoreTip.find(in: destination.store, owner: owner, log: log)
                )
            } catch let error as StoreError where error.isRetryable {
                log(
                    .error,
                    "the store cannot be asked where the backup ends, trying again",
                    [("database", databasePath), ("error", "\(error)")]
                )
                meter.update { $0.problem = "\(error)" }
                try await host.executor.run { try begin.checkBacklog() }
                await stop.pause(nanoseconds: pause)
                pause = min(pause * 2, Limits.storePauseMax)
            }
        } while !stop.isRequested
        return nil
    }

    /// What waits is given up: the spool is emptied, and the database is left alone until the store
    /// answers again.
    private func waitForStore(giveUpAt path: String) async throws {
        meter.gaveUp()
        let local = LocalState(databasePath: databasePath, place: destination.name)
        try await host.executor.run { try local.clearSpool(keeping: []) }
        var pause = Limits.storePauseMin
        while !stop.isRequested {
            await stop.pause(nanoseconds: pause)
            pause = min(pause * 2, Limits.storePauseMax)
            do {
                _ = try await Catalog(store: destination.store).generations()
                return log(.info, "the store is back", [("database", databasePath)])
            } catch let error as StoreError where error.isRetryable {
                meter.update { $0.problem = "\(error)" }
            }
        }
    }

    /// Where the store has the state of the hint that a restore left, if the database is in it.
    private func restoredState(for begin: FollowerStart) async throws -> PageHashIndex.Match? {
        guard let hint = begin.hint?.hint else { return nil }
        switch try await hint.find(in: destination.store) {
        case .success(let match): return match
        case .failure(let mismatch):
            begin.ignoreHint(because: "\(mismatch)")
            return nil
        }
    }

    /// The page hashes of the store's last state, if they are wanted and can be had.
    private func pageHashes(
        for begin: FollowerStart,
        searching wanted: [PageHashIndex.Wanted]
    ) async throws -> PageHashIndex? {
        guard !wanted.isEmpty, let tip = begin.indexedTip else { return nil }
        do {
            return try await Catalog(store: destination.store).pageHashes(
                of: tip.generation,
                at: tip.resume.txid,
                searching: wanted
            )
        } catch let error as CatalogError {
            log(
                .error,
                "the indexes of the backup cannot be read",
                [("generation", "\(tip.generation.id)"), ("error", "\(error)")]
            )
            return nil
        } catch let error as SegmentError {
            log(
                .error,
                "the indexes of the backup cannot be read",
                [("generation", "\(tip.generation.id)"), ("error", "\(error)")]
            )
            return nil
        }
    }
}
