import ArgumentParser
import Configuration
import ObjectStorage
import Platform
import Replication
import Supervision

/// `highwater replicate`.
struct ReplicateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replicate",
        abstract: "Back up databases, commit by commit, until told to stop.",
        discussion: """
            With a database and URLs these are backed up, else those of the configuration file. \
            Runs in the foreground. SIGTERM or SIGINT makes the last commits durable and ends with \
            exit code 0; a second signal ends at once. SIGHUP reads the configuration file again.
            """
    )

    @Argument(
        help: """
            A database's path, and where it goes: file:///absolute/path or s3://bucket/prefix?…; \
            several URLs make several replicas.
            """
    )
    var arguments: [String] = []

    @OptionGroup var file: ConfigOptions

    @Option(
        name: .both("exec"),
        help: "Run this command line, pass signals on to it, and end when it ends, with its code."
    )
    var exec: String?

    @Flag(name: .both("once"), help: "Send what is committed now, and end.")
    var once = false

    @Flag(
        name: .both("restore-if-db-not-exists"),
        help: "Restore databases that are missing, if there is a backup, before anything else."
    )
    var restoreIfMissing = false

    @Option(
        name: .both("sync-interval"),
        help: "Least time between two uploads: seconds, or with a unit, as in 500ms; default 1s."
    )
    var syncInterval: String?

    @Option(
        name: .both("socket"),
        help: "Listen for commands (status, sync, …) at this path; default $HIGHWATER_SOCKET."
    )
    var socket: String?

    @Option(name: .both("addr"), help: "Serve metrics at host:port.")
    var addr: String?

    @Option(name: .both("log-level"), help: "debug, info, warning or error; default info.")
    var logLevel: String?

    @Option(name: .both("log-format"), help: "text or json; default text.")
    var logFormat: String?

    @Flag(
        name: .both("allow-hazard"),
        help: "Start although a database's set-up is known to lose data; never checkpoint then."
    )
    var allowHazard = false

    @Flag(
        name: .both("no-heartbeat"),
        help: "Write no heartbeat beside databases on network or shared file systems."
    )
    var noHeartbeat = false

    func validate() throws {
        guard arguments.count != 1 else {
            throw ValidationError(
                "Say where '\(arguments[0])' goes: highwater replicate DB URL."
            )
        }
        if !arguments.isEmpty, file.config != nil {
            throw ValidationError("Give either -config or a database and URLs, not both.")
        }
        if once, exec != nil { throw ValidationError("-once and -exec exclude each other.") }
        if let syncInterval { _ = try Self.interval(syncInterval) }
        if let logLevel, LogLines.levels[LogLines.usual(logLevel)] == nil {
            throw ValidationError(
                "The log level '\(logLevel)' is none of debug, info, warning, error."
            )
        }
        if let logFormat, !["text", "json"].contains(logFormat) {
            throw ValidationError("The log format is text or json, not '\(logFormat)'.")
        }
    }

    func run() async throws {
        let settings = try effective()
        let lines = LogLines(
            minimum: LogLines.levels[settings.logging.level ?? "info"] ?? 1,
            isJSON: settings.logging.type == "json"
        )
        if let warning = IgnoredKeysWarning.text(settings) {
            lines.function(.warning, warning, [("file", try file.path() ?? "")])
        }
        guard !settings.databases.isEmpty || settings.socketPath != nil else {
            throw ConfigurationError(
                path: try file.path() ?? "",
                line: 0,
                "it names no database; add one to 'dbs:'"
            )
        }
        let command = self
        let reread: @Sendable () throws -> Settings = { try command.effective() }
        let service = AgentService(
            settings: settings,
            reread: arguments.isEmpty ? reread : nil,
            persistence: persistence(settings),
            lines: lines
        )
        try await service.run()
    }

    /// An application does not end because its backup has to wait for something.
    private func persistence(_ settings: Settings) -> FleetHost.Persistence {
        if once { return .once }
        return arguments.isEmpty || settings.command != nil ? .retry : .end
    }

    /// The settings of the file or the command line; what the command line says comes first.
    private func effective() throws -> Settings {
        var settings = arguments.isEmpty ? try file.load() : try ofArguments()
        if let exec { settings.command = exec }
        if once { settings.command = nil }
        if let socket {
            settings.socketPath = try DatabaseArgument.path(socket)
        } else if !once, !settings.databases.isEmpty,
            let path = ProcessEnvironment.socket(settings)
        {
            // A container whose file system is read-only has an agent all the same.
            settings.canMissSocket = settings.socketPath == nil
            settings.socketPath = path
        }
        if let addr { settings.address = addr }
        if let logLevel { settings.logging.level = LogLines.usual(logLevel) }
        if let logFormat { settings.logging.type = logFormat }
        for index in settings.databases.indices {
            if restoreIfMissing { settings.databases[index].restoresIfMissing = true }
            if allowHazard { settings.databases[index].allowsHazard = true }
            if noHeartbeat { settings.databases[index].writesHeartbeat = false }
            guard let syncInterval else { continue }
            let interval = try Self.interval(syncInterval)
            for replica in settings.databases[index].replicas.indices {
                settings.databases[index].replicas[replica].syncInterval = interval
            }
        }
        return settings
    }

    private func ofArguments() throws -> Settings {
        var settings = Settings()
        let urls = arguments.dropFirst()
        var replicas: [ReplicaSettings] = []
        for (index, url) in urls.enumerated() {
            let place = try StoreURL.parse(url)
            guard !replicas.contains(where: { $0.place.location == place.location }) else {
                throw ValidationError("'\(place)' is there twice.")
            }
            let name = urls.count > 1 ? "replica-\(index + 1)" : ""
            replicas.append(ReplicaSettings(name: name, place: place, line: 0))
        }
        settings.databases = [
            DatabaseSettings(
                place: .file(try DatabaseArgument.path(arguments[0])),
                line: 0,
                replicas: replicas
            )
        ]
        return settings
    }

    /// `0.25` is in seconds, for the sake of scripts; `250ms` says its unit.
    private static func interval(_ text: String) throws -> Int64 {
        let value = Double(text).map { $0 * 1e9 } ?? Quantity.nanoseconds(text).map(Double.init)
        guard let value, value >= 0, value <= 86_400e9 else {
            throw ValidationError("The sync interval must be from 0 to 86400 seconds.")
        }
        return Int64(value)
    }
}
