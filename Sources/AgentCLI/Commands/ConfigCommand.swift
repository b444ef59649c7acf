import ArgumentParser
import Configuration
import ObjectStorage

/// `highwater config`.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Check the configuration file, or show what it comes to.",
        subcommands: [ConfigCheckCommand.self, ConfigShowCommand.self]
    )
}

/// `highwater config check`.
struct ConfigCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Read the configuration file and say what is wrong with it.",
        discussion: "No store is asked. The exit code is 0 when the file can be used."
    )

    @OptionGroup var settings: ConfigOptions

    func run() throws {
        let loaded = try settings.load()
        let path = try settings.path() ?? ""
        if let warning = IgnoredKeysWarning.text(loaded) { print("\(path): warning: \(warning)") }
        let replicas = loaded.databases.reduce(0) { $0 + $1.replicas.count }
        print("\(path): ok, \(loaded.databases.count) entries in dbs, \(replicas) replicas")
    }
}

/// The one warning about keys that mean nothing here.
enum IgnoredKeysWarning {
    static func text(_ settings: Settings) -> String? {
        guard !settings.ignoredKeys.isEmpty else { return nil }
        return "these keys are not supported and were passed over: "
            + settings.ignoredKeys.joined(separator: ", ")
    }
}

/// `highwater config show`.
struct ConfigShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Print what the configuration file comes to, with all defaults, without secrets."
    )

    @OptionGroup var settings: ConfigOptions

    @Flag(name: .both("json"), help: "Print JSON.")
    var json = false

    private struct Report: Encodable {
        struct Replica: Encodable {
            var name: String
            var url: String
            var credentials: String?
            var syncInterval: String
        }

        struct Database: Encodable {
            var path: String?
            var dir: String?
            var pattern: String?
            var recursive: Bool?
            var watch: Bool?
            var snapshotInterval: String
            var retentionEnabled: Bool
            var retentionWindow: String
            var retentionCheckInterval: String
            var levels: [String]
            var spoolLimit: Int64
            var outagePolicy: String
            var restoreIfDbNotExists: Bool
            var allowHazard: Bool
            var heartbeat: Bool
            var replicas: [Replica]
        }

        var version = 1
        var addr: String?
        var socket: String?
        var socketPermissions: String
        var exec: String?
        var shutdownSyncTimeout: String
        var logLevel: String
        var logType: String
        var dbs: [Database]
    }

    func run() throws {
        let loaded = try settings.load()
        if let warning = IgnoredKeysWarning.text(loaded) {
            StandardError.write("warning: \(warning)\n")
        }
        if json { return try JSONOutput.print(Self.report(loaded)) }
        print(loaded.yaml, terminator: "")
    }

    private static func report(_ settings: Settings) -> Report {
        Report(
            addr: settings.address,
            socket: settings.socketPath,
            socketPermissions: Quantity.text(permissions: settings.socketPermissions),
            exec: settings.command,
            shutdownSyncTimeout: Quantity.text(nanoseconds: settings.shutdownTime),
            logLevel: settings.logging.level ?? "info",
            logType: settings.logging.type ?? "text",
            dbs: settings.databases.map(database)
        )
    }

    private static func database(_ settings: DatabaseSettings) -> Report.Database {
        let keeping = settings.keeping
        var entry = Report.Database(
            snapshotInterval: Quantity.text(nanoseconds: keeping.snapshotInterval),
            retentionEnabled: keeping.isMaintained,
            retentionWindow: Quantity.text(nanoseconds: keeping.window),
            retentionCheckInterval: Quantity.text(nanoseconds: keeping.interval),
            levels: keeping.levels.map(Quantity.text(nanoseconds:)),
            spoolLimit: settings.outage.spoolLimit,
            outagePolicy: settings.outage.protectsApplication ? "protect-app" : "protect-backup",
            restoreIfDbNotExists: settings.restoresIfMissing,
            allowHazard: settings.allowsHazard,
            heartbeat: settings.writesHeartbeat,
            replicas: settings.replicas.map { replica in
                Report.Replica(
                    name: replica.name,
                    url: replica.place.description,
                    credentials: replica.credentials.map { "\($0)" },
                    syncInterval: Quantity.text(nanoseconds: replica.syncInterval)
                )
            }
        )
        switch settings.place {
        case .file(let path): entry.path = path
        case .folder(let folder):
            entry.dir = folder.path
            entry.pattern = folder.pattern
            entry.recursive = folder.isRecursive
            entry.watch = folder.isWatched
        }
        return entry
    }
}
