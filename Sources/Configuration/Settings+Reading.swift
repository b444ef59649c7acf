import ObjectStorage

extension Settings {
    /// Keys at the top of the file, beside those that are defaults for databases and replicas.
    static let keys = [
        "dbs", "addr", "exec", "socket", "logging", "shutdown-sync-timeout", "validation",
    ]
    /// Keys at the top of the file that are Litestream's and mean nothing here.
    static let foreignKeys = [
        "mcp-addr", "l0-retention", "l0-retention-check-interval", "heartbeat-url",
        "heartbeat-interval", "shutdown-sync-interval", "verify-compaction",
    ]

    /// Reads a configuration file's text. A file of Litestream's is one, too.
    ///
    /// Without an `environment` nothing is expanded.
    ///
    /// - Throws: what is wrong, with its line.
    package static func read(
        _ text: [UInt8],
        path: String,
        environment: [String: String]?
    ) throws(ConfigurationError) -> Settings {
        let document = DocumentContext(
            path: path,
            expansion: EnvironmentExpansion(environment: environment)
        )
        guard let root = try YAMLReader.read(text, path: path) else {
            throw document.error(0, "the file is empty; it needs at least 'dbs:'")
        }
        var keys = try KeyReader(
            root,
            subject: "the file",
            known: Self.keys + ResourceSettings.keys + KeepingSettings.keys + OutageSettings.keys
                + VerifySettings.keys
                + ReplicaDefaults.keys + Self.foreignKeys,
            document
        )
        var settings = Settings()
        try settings.readProcess(&keys)
        try settings.resources.read(&keys)
        var defaults = Defaults()
        try defaults.read(&keys)
        for item in try keys.items("dbs") ?? [] {
            var entry = try KeyReader(
                item,
                subject: "a database",
                known: DatabaseSettings.keys + DatabaseSettings.foreignKeys,
                document
            )
            settings.databases.append(try DatabaseSettings(&entry, defaults: defaults))
        }
        keys.ignore(Self.foreignKeys)
        try settings.checkDestinations(document)
        settings.ignoredKeys = document.ignored.keys
        return settings
    }

    private mutating func readProcess(_ keys: inout KeyReader) throws(ConfigurationError) {
        if let entry = keys.take("addr") {
            // Litestream's way to say "nowhere" is an empty text.
            let text = try keys.document.text(entry.value, key: "addr")
            guard text.isEmpty || ListenAddress(text) != nil else {
                throw keys.document.error(
                    entry.line,
                    "'addr' is host:port, or :port for all addresses of this machine"
                )
            }
            address = text.isEmpty ? nil : text
        }
        command = try keys.text("exec")
        shutdownTime = try keys.duration("shutdown-sync-timeout") ?? shutdownTime
        if var socket = try keys.section("socket", known: ["enabled", "path", "permissions"]) {
            let isEnabled = try socket.flag("enabled") ?? true
            let path = try socket.text("path")
            namesSocket = !isEnabled || path != nil
            socketPath = isEnabled ? path ?? Settings.defaultSocketPath : nil
            socketPermissions = try socket.permissions("permissions") ?? socketPermissions
        }
        let loggingKeys = ["level", "type", "stderr", "source"]
        if var logging = try keys.section("logging", known: loggingKeys) {
            if let entry = logging.take("level") {
                let level = try keys.document.text(entry.value, key: "level").lowercased()
                let names = ["trace": "debug", "warn": "warning"]
                let name = names[level] ?? level
                guard ["debug", "info", "warning", "error"].contains(name) else {
                    throw keys.document.error(
                        entry.line,
                        "'level' is one of debug, info, warning, error"
                    )
                }
                self.logging.level = name
            }
            if let entry = logging.take("type") {
                let type = try keys.document.text(entry.value, key: "type").lowercased()
                // Litestream's third form is text with colours.
                guard ["text", "json", "pretty"].contains(type) else {
                    throw keys.document.error(entry.line, "'type' is text or json")
                }
                self.logging.type = type == "json" ? "json" : "text"
            }
            logging.ignore(["stderr", "source"])
        }
    }

    /// Where the control socket is when nothing else is said.
    package static let defaultSocketPath = "/var/run/highwater.sock"

    /// No two databases may go to one place.
    private func checkDestinations(_ document: DocumentContext) throws(ConfigurationError) {
        var places: [String: Int] = [:]
        var files: [String: Int] = [:]
        for database in databases {
            if case .file(let path) = database.place {
                if let line = files[path] {
                    throw document.error(
                        database.line,
                        "'\(path)' is listed already in line \(line); give one entry 'replicas'"
                    )
                }
                files[path] = database.line
            }
            for replica in database.replicas {
                let place = replica.place.location
                if let line = places[place] {
                    throw document.error(
                        replica.line,
                        "this is the destination of line \(line), too; each database and each "
                            + "replica needs a place of its own"
                    )
                }
                places[place] = replica.line
            }
        }
    }
}

/// What holds for each database unless it says otherwise.
struct Defaults {
    var keeping = KeepingSettings()
    var outage = OutageSettings()
    var verify = VerifySettings()
    var replica = ReplicaDefaults()

    mutating func read(_ keys: inout KeyReader) throws(ConfigurationError) {
        try keeping.read(&keys)
        try outage.read(&keys)
        if var validation = try keys.section("validation", known: ["interval"]) {
            try verify.readValidation("interval", &validation)
        }
        try verify.read(&keys)
        try replica.read(&keys)
    }
}

extension OutageSettings {
    /// Keys of the file, and of an entry of `dbs:`.
    static let keys = ["spool-limit", "outage-policy"]

    /// Reads them.
    mutating func read(_ keys: inout KeyReader) throws(ConfigurationError) {
        let size = try keys.size("spool-limit", mebibytes: 1, example: "500MiB or 10GiB")
        spoolLimit = size ?? spoolLimit
        if let entry = keys.take("outage-policy") {
            switch try keys.document.text(entry.value, key: "outage-policy") {
            case "protect-backup": protectsApplication = false
            case "protect-app": protectsApplication = true
            default:
                throw keys.document.error(
                    entry.line,
                    "'outage-policy' is protect-backup or protect-app"
                )
            }
        }
    }
}

extension KeepingSettings {
    /// Keys of the file, and of an entry of `dbs:`.
    static let keys = ["snapshot", "retention", "levels"]
    /// More would be of no use, and a level's number has eight bits.
    private static let levelsMax = 8

    /// Reads `snapshot:`, `retention:` and `levels:`.
    mutating func read(_ keys: inout KeyReader) throws(ConfigurationError) {
        if var snapshot = try keys.section("snapshot", known: ["interval", "retention"]) {
            snapshotInterval = try snapshot.duration("interval") ?? snapshotInterval
            // Litestream's name for how long snapshots are kept.
            window = try snapshot.duration("retention") ?? window
        }
        let retentionKeys = ["enabled", "window", "check-interval"]
        if var retention = try keys.section("retention", known: retentionKeys) {
            isMaintained = try retention.flag("enabled") ?? isMaintained
            window = try retention.duration("window") ?? window
            interval = try retention.duration("check-interval") ?? interval
        }
        try readLevels(&keys)
    }

    private mutating func readLevels(_ keys: inout KeyReader) throws(ConfigurationError) {
        guard let items = try keys.items("levels") else { return }
        var lengths: [Int64] = []
        for item in items {
            var level = try KeyReader(
                item,
                subject: "a level",
                known: ["interval"],
                keys.document
            )
            let length = try level.duration("interval") ?? 0
            guard length >= 1_000_000_000, length > lengths.last ?? 0 else {
                throw keys.document.error(
                    item.line,
                    "each entry of 'levels' has an 'interval' of a second at least, longer than "
                        + "the one before"
                )
            }
            lengths.append(length)
        }
        guard lengths.count <= Self.levelsMax else {
            throw keys.document.error(items[Self.levelsMax].line, "there are 8 levels at most")
        }
        levels = lengths
    }
}
