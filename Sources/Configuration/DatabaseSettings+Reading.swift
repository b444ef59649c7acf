extension DatabaseSettings {
    /// Keys of an entry.
    static let keys =
        [
            "path", "dir", "pattern", "recursive", "watch", "sync-interval",
            "restore-if-db-not-exists", "allow-hazard", "heartbeat", "replica", "replicas",
        ] + KeepingSettings.keys + OutageSettings.keys + VerifySettings.keys
    /// Keys of an entry that are Litestream's and mean nothing here.
    static let foreignKeys = [
        "meta-path", "meta-dir", "monitor-interval", "checkpoint-interval", "busy-timeout",
        "min-checkpoint-page-count", "max-checkpoint-page-count", "truncate-page-n",
        "max-sync-wal-bytes", "levels",
    ]

    /// Reads one entry of `dbs:`.
    init(_ keys: inout KeyReader, defaults: Defaults) throws(ConfigurationError) {
        place = try Self.place(&keys)
        line = keys.line
        keeping = defaults.keeping
        try keeping.read(&keys)
        outage = defaults.outage
        try outage.read(&keys)
        verify = defaults.verify
        restoresIfMissing = try keys.flag("restore-if-db-not-exists") ?? false
        allowsHazard = try keys.flag("allow-hazard") ?? false
        writesHeartbeat = try keys.flag("heartbeat") ?? true
        var replicaDefaults = defaults.replica
        let interval = try keys.duration("sync-interval")
        replicaDefaults.syncInterval = interval ?? defaults.replica.syncInterval
        keys.ignore(Self.foreignKeys)
        try readReplicas(&keys, replicaDefaults)
        // After the replicas, which may have Litestream's key for it.
        try verify.read(&keys)
    }

    private static func place(_ keys: inout KeyReader) throws(ConfigurationError) -> Place {
        let path = try keys.text("path")
        let folder = try keys.text("dir")
        let pattern = try keys.text("pattern")
        let isRecursive = try keys.flag("recursive")
        let isWatched = try keys.flag("watch")
        switch (path, folder) {
        case (let path?, nil):
            guard pattern == nil, isRecursive == nil, isWatched == nil else {
                throw keys.document.error(
                    keys.line,
                    "'pattern', 'recursive' and 'watch' go with 'dir', not with 'path'"
                )
            }
            return .file(try absolute(path, keys))
        case (nil, let folder?):
            return .folder(
                FolderSettings(
                    path: try absolute(folder, keys),
                    pattern: pattern ?? "*",
                    isRecursive: isRecursive ?? false,
                    isWatched: isWatched ?? false
                )
            )
        default:
            throw keys.document.error(
                keys.line,
                "a database needs either 'path' (one file) or 'dir' (a folder of them)"
            )
        }
    }

    /// A path from the root: the agent's working folder is nobody's business.
    private static func absolute(
        _ path: String,
        _ keys: KeyReader
    ) throws(ConfigurationError) -> String {
        var path = path
        for scheme in ["sqlite://", "sqlite3://"] where path.hasPrefix(scheme) {
            path.removeFirst(scheme.count)
        }
        if path.hasPrefix("~/"), let home = keys.document.expansion.environment?["HOME"] {
            path = home + path.dropFirst()
        }
        guard path.hasPrefix("/") else {
            throw keys.document.error(keys.line, "'\(path)' has to begin with '/'")
        }
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }

    private mutating func readReplicas(
        _ keys: inout KeyReader,
        _ defaults: ReplicaDefaults
    ) throws(ConfigurationError) {
        var nodes: [YAMLNode] = []
        if let one = keys.take("replica") { nodes.append(one.value) }
        if let several = try keys.items("replicas") {
            guard nodes.isEmpty else {
                throw keys.document.error(keys.line, "write 'replica' or 'replicas', not both")
            }
            nodes = several
        }
        guard !nodes.isEmpty else {
            throw keys.document.error(
                keys.line,
                "a database needs a place to go to: 'replica:' with 'url:'"
            )
        }
        for node in nodes {
            if case .scalar = node.content {
                let url = try keys.document.text(node, key: "replica")
                replicas.append(try defaults.replica(url: url, line: node.line, keys.document))
                continue
            }
            // Another type has other keys; that they are unknown is not what is wrong.
            if case .mapping(let pairs) = node.content,
                let type = pairs.first(where: { $0.key == "type" })
            {
                let kind = try keys.document.text(type.value, key: "type")
                try ReplicaDefaults.check(type: kind, line: type.line, keys.document)
            }
            var entry = try KeyReader(
                node,
                subject: "a replica",
                known: ReplicaDefaults.replicaKeys + ReplicaDefaults.foreignKeys,
                keys.document
            )
            try verify.readValidation("validation-interval", &entry)
            replicas.append(try defaults.replica(&entry))
        }
        try nameReplicas(keys)
    }

    private mutating func nameReplicas(_ keys: KeyReader) throws(ConfigurationError) {
        var names: Set<String> = []
        for index in replicas.indices where replicas.count > 1 {
            if replicas[index].name.isEmpty { replicas[index].name = "replica-\(index + 1)" }
            guard names.insert(replicas[index].name).inserted else {
                throw keys.document.error(
                    replicas[index].line,
                    "two replicas are called '\(replicas[index].name)'"
                )
            }
        }
    }
}
