import ArgumentParser
import Bytes
import Configuration
import Glibc
import HTTPServer
import ObjectStorage
import Platform
import Replication
import SQLiteAccess
import Supervision

/// The agent as a process: signals, the application beside it, the control socket, the service
/// manager; and the fleet of databases, which does the work.
struct AgentService: Sendable {
    /// What is backed up, and how.
    var settings: Settings
    /// Reads the settings again; nil when there is no file to read.
    var reread: (@Sendable () throws -> Settings)?
    /// What becomes of databases that cannot be backed up.
    var persistence: FleetHost.Persistence
    /// Where log lines go.
    var lines: LogLines

    private static let threads = 8

    /// Runs until a signal, the application, or the last database ends it.
    ///
    /// - Throws: the error of the only database there is; `ExitCode` with 10 when some of several
    ///   failed, or with the application's code.
    func run() async throws {
        // Clients of the sockets may go away at any time.
        SignalPipe.ignore(SIGPIPE)
        warnOfLimits(ResourceUsage.raiseDescriptorLimit())
        let executor = ThreadExecutor(threads: Self.threads)
        let fleet = Fleet(try host(executor))
        let process = ServiceProcess(
            fleet: fleet,
            settings: settings,
            reread: reread,
            log: lines.function
        )
        let servers = try process.listen()
        let signals = try SignalPipe(
            signals: [SIGTERM, SIGINT],
            others: settings.command == nil
                ? [SIGHUP] + (Orphans.areOurs ? [SIGCHLD] : [])
                : [SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH],
            secondExitCode: settings.command == nil ? 130 : nil
        )
        let code = try await process.run(servers, signals, on: executor) {
            try await restoreAll(executor)
        }
        _ = consume signals
        try report(fleet, code)
    }

    private func host(_ executor: ThreadExecutor) throws -> FleetHost {
        let storeLog = lines.storeLog
        let log = lines.function
        let rate = settings.resources.requestsPerSecond.map { RequestRate(perSecond: Double($0)) }
        return FleetHost(
            replication: try ReplicationHost(
                version: Highwater.version,
                executor: executor,
                memoryLimit: Int(settings.resources.memoryLimit)
            ),
            persistence: persistence,
            log: log,
            restore: { path, places in
                let missing = MissingDatabase(path: path, executor: executor, log: log)
                try await missing.restore(from: places)
            },
            checkFile: { path, executor in
                try await SQLiteCheck.closure(.full, on: executor)(path)
            },
            open: { place, credentials, executor in
                let store = try StoreFactory.open(
                    place,
                    credentials: credentials,
                    executor: executor,
                    use: .service,
                    log: storeLog
                )
                guard let rate, case .bucket = place else { return store }
                return RateLimitedStore(store, rate: rate)
            }
        )
    }

    /// An application must not begin with an empty database where there is a backup.
    private func restoreAll(_ executor: ThreadExecutor) async throws {
        let assignments = Assignments(settings.databases) { _ in [] }
        var done: Set<String> = []
        for assignment in assignments.all
        where assignment.restoresIfMissing && done.insert(assignment.database).inserted {
            let missing = MissingDatabase(
                path: assignment.database,
                executor: executor,
                log: lines.function
            )
            let places = assignments.all.filter { $0.database == assignment.database }
            try await missing.restore(from: places)
        }
    }

    /// A database needs three descriptors or four; some are needed for everything else.
    private func warnOfLimits(_ limit: UInt64) {
        let wanted = UInt64(settings.databases.count) * 6 + 64
        guard limit > 0, limit < wanted else { return }
        lines.function(
            .warning,
            "this process may open too few files for its databases: raise the limit "
                + "(LimitNOFILE= in the systemd unit, ulimit -n)",
            [("limit", "\(limit)"), ("wanted", "\(wanted)")]
        )
    }

    private func report(_ fleet: Fleet, _ code: Int32?) throws {
        let failures = fleet.failures
        if let code, code != 0 { throw ExitCode(code) }
        guard let first = failures.first else { return }
        if failures.count == 1, fleet.count == 1 { throw first.error }
        for failure in failures {
            let name = failure.assignment.replica
            let replica = name.isEmpty ? "" : " (\(name))"
            StandardError.write(
                "highwater: \(failure.assignment.database)\(replica): \(failure.error)\n"
            )
        }
        throw ExitCode(10)
    }
}
