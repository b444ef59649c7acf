import Bytes
import Configuration
import Hazards
import Maintenance
import ObjectStorage
package import Platform
package import Replication
import Synchronization

/// What all members of a fleet need of the process.
package struct FleetHost: Sendable {
    /// The threads and the writer's tag.
    package var replication: ReplicationHost
    /// Opens stores.
    package var open: StoreOpener
    /// Restores a database that is missing, from the first of its places that has a backup.
    package var restore: @Sendable (_ database: String, _ places: [Assignment]) async throws -> Void
    /// Lets SQLite check a file that a verification rebuilt.
    package var checkFile: FileCheck
    /// Where log lines go.
    package var log: ReplicationLog
    /// What becomes of a database that cannot be backed up.
    package var persistence: Persistence

    /// Checks a database file that nobody else has open, on a thread that may block.
    package typealias FileCheck =
        @Sendable (_ path: String, _ executor: ThreadExecutor) async throws -> Void

    /// What becomes of a database that cannot be backed up.
    package enum Persistence: Sendable {
        /// It is tried again now and then, for as long as the process runs: what is wrong may be
        /// mended meanwhile.
        case retry
        /// It ends with its error.
        case end
        /// Each database is sent as it is now, and that is all.
        case once
    }

    /// A host.
    package init(
        replication: ReplicationHost,
        persistence: Persistence,
        log: @escaping ReplicationLog,
        restore: @Sendable @escaping (String, [Assignment]) async throws -> Void,
        checkFile: @escaping FileCheck,
        open: @escaping StoreOpener
    ) {
        self.replication = replication
        self.persistence = persistence
        self.log = log
        self.restore = restore
        self.checkFile = checkFile
        self.open = open
    }
}

/// One assignment that is being done. It begins once and ends once; what comes after it is another
/// member.
final class Member: Sendable {
    let assignment: Assignment
    let meter = AgentMeter()
    let stop = StopRequest()
    /// Made when it has let go of the database.
    let ended = StopRequest()
    /// The member that did this before, with other settings; it has to let go first. Forgotten
    /// then: members of a year of reloads must not keep each other.
    private let predecessor: Mutex<Member?>
    private let failure = Mutex<(any Error)?>(nil)
    private let alarm = Mutex(HazardAlarm())
    private let verifications: Mutex<VerificationRecord>

    /// Between two attempts, in nanoseconds.
    private static let pauseMin = 5 * Nanoseconds.second
    private static let pauseMax = 60 * Nanoseconds.second

    init(_ assignment: Assignment, after predecessor: Member?) {
        self.assignment = assignment
        self.predecessor = Mutex(predecessor)
        // What is known of the backup does not change with the settings.
        verifications = Mutex(predecessor?.verification ?? VerificationRecord(since: .now))
    }

    /// What verifications came to; nil where there are none.
    var verification: VerificationRecord? {
        assignment.verify.interval > 0 ? verifications.withLock { $0 } : nil
    }

    /// What went wrong at the last attempt; nil while it runs well, and when it ended well.
    var error: (any Error)? { failure.withLock { $0 } }

    /// The hazards that were found, the worst first.
    var hazards: [Finding] { alarm.withLock { $0 }.findings }

    /// Does it until a stop is requested.
    func run(
        _ host: FleetHost,
        _ destinations: Destinations,
        _ desk: VerificationDesk,
        places: [Assignment]
    ) async {
        await predecessor.withLock { $0.take() }?.ended.made()
        // Verification ends at once when a stop is requested, and when replication ends by itself.
        let over = StopRequest()
        let key = stop.observe { over.request() }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.verify(host, destinations, desk, until: over) }
            await self.replicate(host, destinations, places: places)
            over.request()
        }
        stop.forget(key)
        meter.update { if $0.phase != .failed { $0.phase = .stopped } }
        meter.close()
        ended.request()
    }

    private func verify(
        _ host: FleetHost,
        _ destinations: Destinations,
        _ desk: VerificationDesk,
        until stop: StopRequest
    ) async {
        guard assignment.verify.interval > 0 else { return }
        if case .once = host.persistence { return }
        let (assignment, meter) = (assignment, meter)
        let verification = Verification(
            assignment: assignment,
            desk: desk,
            open: { try destinations.destination(of: assignment).store },
            checkFile: host.checkFile,
            reading: { meter.reading },
            update: { change in self.verifications.withLock { change(&$0) } },
            log: log(host)
        )
        await verification.run(until: stop)
    }

    private func replicate(
        _ host: FleetHost,
        _ destinations: Destinations,
        places: [Assignment]
    ) async {
        var pause = Self.pauseMin
        var said = ""
        while !stop.isRequested {
            do {
                try await attempt(host, destinations, places: places)
                failure.withLock { $0 = nil }
                if case .once = host.persistence { break }
                if stop.isRequested { break }
            } catch {
                failure.withLock { $0 = error }
                meter.update { reading in
                    reading.phase = .failed
                    reading.problem = "\(error)"
                }
                guard case .retry = host.persistence, !stop.isRequested else { break }
                let level: ReplicationLogLevel = said == "\(error)" ? .debug : .error
                said = "\(error)"
                log(host)(
                    level,
                    "the database cannot be backed up, will be tried again",
                    [("error", "\(error)")]
                )
            }
            await stop.pause(nanoseconds: pause)
            pause = min(pause * 2, Self.pauseMax)
        }
    }

    private func attempt(
        _ host: FleetHost,
        _ destinations: Destinations,
        places: [Assignment]
    ) async throws {
        meter.update { $0.phase = .waiting }
        if assignment.restoresIfMissing, assignment.key == places.first?.key {
            try await host.restore(assignment.database, places)
        }
        let executor = host.replication.executor
        let assignment = assignment
        let destination = try await executor.run {
            try destinations.destination(of: assignment)
        }
        let agent = agent(host, destination)
        guard case .once = host.persistence else { return try await agent.run() }
        try await runOnce(agent, executor)
    }

    private func agent(_ host: FleetHost, _ destination: Destination) -> Agent {
        var settings = AgentSettings(
            databasePath: assignment.database,
            destination: destination,
            stop: stop,
            host: host.replication,
            log: log(host)
        )
        let keeping = assignment.keeping
        settings.meter = meter
        settings.syncInterval = assignment.syncInterval
        settings.hazards.isStartAllowed = assignment.allowsHazard
        settings.hazards.writesHeartbeat = assignment.writesHeartbeat
        settings.outage.spoolLimit = assignment.outage.spoolLimit
        if assignment.outage.protectsApplication { settings.outage.choice = .protectApplication }
        settings.maintenance.isEnabled = keeping.isMaintained
        settings.maintenance.retention.window = keeping.window / Nanoseconds.millisecond
        settings.maintenance.snapshots.interval = keeping.snapshotInterval / Nanoseconds.millisecond
        settings.maintenance.interval = keeping.interval
        settings.maintenance.levels.periods = keeping.levels.map { $0 / Nanoseconds.millisecond }
        let agent = Agent(settings)
        alarm.withLock { $0 = agent.alarm }
        return agent
    }

    /// Log lines that say which database and replica they are about.
    private func log(_ host: FleetHost) -> ReplicationLog {
        let (log, database, replica) = (host.log, assignment.database, assignment.replica)
        return { level, message, values in
            var values = values
            if !values.contains(where: { $0.0 == "database" }) {
                values.insert(("database", database), at: 0)
            }
            if !replica.isEmpty { values.append(("replica", replica)) }
            log(level, message, values)
        }
    }
}

extension Member {
    /// How long nothing may arrive while a single round waits for the store, in nanoseconds.
    private static let patience = 60 * Nanoseconds.second

    /// Sends what is committed now, and ends.
    private func runOnce(_ agent: Agent, _ executor: ThreadExecutor) async throws {
        guard try await executor.run({ try FileSystem.status(agent.databasePath) }) != nil else {
            throw SupervisionError(
                .missing,
                "the database '\(agent.databasePath)' does not exist; a single round waits for none"
            )
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: executor) {
                defer { self.meter.close() }
                try await agent.run()
            }
            group.addTask(executorPreference: executor) {
                let isDurable = await self.meter.sync(waitsForStart: true)
                self.stop.request()
                guard !isDurable else { return }
                throw SupervisionError(
                    .notDurable,
                    "'\(self.assignment.database)' could not be stored: "
                        + (self.meter.reading.problem ?? "the agent ended before it was")
                )
            }
            group.addTask(executorPreference: executor) { await self.giveUpWithoutProgress() }
            var failure: (any Error)?
            // The first error is the cause; the others only follow from it.
            while let result = await group.nextResult() {
                if case .failure(let error) = result {
                    failure = failure ?? error
                    self.stop.request()
                }
            }
            if let failure { throw failure }
        }
    }

    /// Requests a stop when nothing arrives for too long.
    private func giveUpWithoutProgress() async {
        var seen = meter.reading.uploadedBytes
        var since = MonotonicTime.now
        while !stop.isRequested {
            await stop.pause(nanoseconds: Nanoseconds.second)
            let reading = meter.reading
            if reading.uploadedBytes != seen || reading.problem == nil { since = .now }
            seen = reading.uploadedBytes
            if MonotonicTime.now - since > Self.patience { stop.request(shutdownTime: 0) }
        }
    }
}
