import ArgumentParser
import Bytes
import Glibc
import Hazards
import ObjectStorage
import Platform
import Replication

/// `highwater replicate DB URL`.
struct ReplicateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replicate",
        abstract: "Back up a database, commit by commit, until told to stop.",
        discussion: """
            Runs in the foreground. SIGTERM or SIGINT makes the last commits durable and ends with \
            exit code 0; a second signal ends at once.
            """
    )

    @Argument(help: "The database's path. It is waited for if it does not exist yet.")
    var database: String

    @Argument(help: "Where the backup goes: file:///absolute/path or s3://bucket/prefix?….")
    var url: String

    @Option(
        name: .both("sync-interval"),
        help: "Least time between two uploads, in seconds."
    )
    var syncInterval = 1.0

    @Option(
        name: .both("log-level"),
        help: "debug, info, warning or error."
    )
    var logLevel = "info"

    @Flag(
        name: .both("allow-hazard"),
        help: "Start although the database's set-up is known to lose data; never checkpoint then."
    )
    var allowHazard = false

    @Flag(
        name: .both("no-heartbeat"),
        help: "Write no heartbeat beside databases on network or shared file systems."
    )
    var noHeartbeat = false

    func validate() throws {
        guard syncInterval >= 0, syncInterval <= 86_400 else {
            throw ValidationError("The sync interval must be from 0 to 86400 seconds.")
        }
        guard LogLines.levels[logLevel] != nil else {
            throw ValidationError(
                "The log level '\(logLevel)' is none of debug, info, warning, error."
            )
        }
    }

    func run() async throws {
        let executor = ThreadExecutor(threads: 6)
        let lines = LogLines(minimum: LogLines.levels[logLevel] ?? 1)
        let store = try StoreFactory.open(
            url,
            executor: executor,
            use: .service,
            log: lines.storeLog
        )
        let stop = StopRequest()
        let signals = try SignalPipe(signals: [SIGTERM, SIGINT], secondExitCode: 130)
        var agent = Agent(
            databasePath: database,
            destination: Destination(store: store, name: BucketURL.redacted(url)),
            stop: stop,
            host: try ReplicationHost(version: Highwater.version, executor: executor),
            log: lines.function
        )
        agent.syncInterval = Int64(syncInterval * 1_000_000_000)
        agent.hazards.isStartAllowed = allowHazard
        agent.hazards.writesHeartbeat = !noHeartbeat
        let ended = try WakeUp()
        let descriptors = (signals.descriptor.rawValue, ended.descriptor.rawValue)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: executor) {
                if try SignalPipe.wait(descriptors.0, or: descriptors.1) { stop.request() }
            }
            let running = agent
            group.addTask(executorPreference: executor) {
                defer { ended.raise() }
                try await running.run()
            }
            for try await _ in group {}
        }
        _ = consume signals
    }
}

/// Log lines on standard error: time, level, message, values.
struct LogLines: Sendable {
    static let levels = ["debug": 0, "info": 1, "warning": 2, "error": 3]
    let minimum: Int

    var function: ReplicationLog {
        { level, message, values in
            let (name, rank) =
                switch level {
                case .debug: ("debug", 0)
                case .info: ("info", 1)
                case .warning: ("warning", 2)
                case .error: ("error", 3)
                }
            guard rank >= minimum else { return }
            let pairs = values.map { " \($0.0)=\(Self.quoted($0.1))" }.joined()
            StandardError.write("\(Timestamp.now) \(name) \(message)\(pairs)\n")
        }
    }

    private static func quoted(_ value: String) -> String {
        value.contains(" ") || value.isEmpty ? "\"\(value)\"" : value
    }
}
