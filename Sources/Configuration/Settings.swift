package import ObjectStorage

/// A configuration file, checked, with defaults filled in.
package struct Settings: Sendable {
    /// Databases and folders of databases, in the file's order.
    package var databases: [DatabaseSettings] = []
    /// Where metrics are served, as `ListenAddress` reads it; nil for nowhere.
    package var address: String?
    /// The control socket's path; nil for none.
    package var socketPath: String?
    /// Whether the file says where the control socket is, or that there is none.
    package var namesSocket = false
    /// Whether the agent goes on when the control socket cannot be opened.
    package var canMissSocket = false
    /// The control socket's mode: who may use it.
    package var socketPermissions: UInt32 = 0o600
    /// The program that runs beside the agent.
    package var command: String?
    /// How long the last uploads may take when the agent ends, in nanoseconds.
    package var shutdownTime: Int64 = 30_000_000_000
    /// What is logged.
    package var logging = LoggingSettings()
    /// What all databases together may use.
    package var resources = ResourceSettings()
    /// Keys that have no meaning here, with their lines: one warning for all.
    package var ignoredKeys: [String] = []

    /// Settings without databases.
    package init() {}
}

/// What is logged.
package struct LoggingSettings: Sendable, Equatable {
    /// The least important level: `debug`, `info`, `warning` or `error`; nil when nothing is said.
    package var level: String?
    /// The form of a line: `text` or `json`; nil when nothing is said.
    package var type: String?

    /// The defaults.
    package init() {}
}

/// One database, or a folder of them.
package struct DatabaseSettings: Sendable, Equatable {
    /// Where databases are.
    package enum Place: Sendable, Equatable {
        /// One file.
        case file(String)
        /// The databases below a folder.
        case folder(FolderSettings)
    }

    /// Where it is.
    package var place: Place
    /// The line in the file.
    package var line: Int
    /// Where it goes; at least one.
    package var replicas: [ReplicaSettings] = []
    /// Whether it is restored before it is followed, when it is missing.
    package var restoresIfMissing = false
    /// When and what is kept, and when snapshots are taken.
    package var keeping = KeepingSettings()
    /// What happens when the store takes nothing for very long.
    package var outage = OutageSettings()
    /// When and how its backups are verified.
    package var verify = VerifySettings()
    /// Whether an unsafe set-up is no reason not to start.
    package var allowsHazard = false
    /// Whether a heartbeat is written beside databases on shared file systems.
    package var writesHeartbeat = true

    /// A database or folder with the defaults.
    package init(place: Place, line: Int, replicas: [ReplicaSettings] = []) {
        self.place = place
        self.line = line
        self.replicas = replicas
    }
}

/// Databases below a folder.
package struct FolderSettings: Sendable, Hashable {
    /// The folder.
    package var path: String
    /// Names that count, with `*` and `?`.
    package var pattern = "*"
    /// Whether folders below count, too.
    package var isRecursive = false
    /// Whether databases that come and go later are noticed.
    package var isWatched = false

    /// A folder with the defaults.
    package init(
        path: String,
        pattern: String = "*",
        isRecursive: Bool = false,
        isWatched: Bool = false
    ) {
        self.path = path
        self.pattern = pattern
        self.isRecursive = isRecursive
        self.isWatched = isWatched
    }
}

/// When snapshots are taken and what is kept.
package struct KeepingSettings: Sendable, Equatable {
    /// Whether anything is merged and deleted.
    package var isMaintained = true
    /// The window in which each commit can be restored, in nanoseconds.
    package var window: Int64 = 604_800_000_000_000
    /// A snapshot is due when the last one is this old, in nanoseconds.
    package var snapshotInterval: Int64 = 86_400_000_000_000
    /// Between two rounds of maintenance, in nanoseconds.
    package var interval: Int64 = 3_600_000_000_000
    /// The lengths of the windows of levels 1, 2, 3, …, in nanoseconds.
    package var levels: [Int64] = [300_000_000_000, 3_600_000_000_000, 86_400_000_000_000]
}

/// What happens when the store takes nothing for very long.
package struct OutageSettings: Sendable, Equatable {
    /// Bytes that may wait on the database's disk.
    package var spoolLimit: Int64 = 10 << 30
    /// Whether what waits is given up then, instead of kept for as long as the disk has room.
    package var protectsApplication = false

    /// The defaults.
    package init() {}
}

/// One place where a database goes.
package struct ReplicaSettings: Sendable, Equatable {
    /// Its name; empty when it is the only one.
    package var name = ""
    /// Where it is; printing it shows no secret.
    package var place: StoreURL
    /// The line in the file.
    package var line: Int
    /// Keys for this place; nil leaves it to the environment.
    package var credentials: ReplicaCredentials?
    /// The least time between two uploads, in nanoseconds.
    package var syncInterval: Int64 = 1_000_000_000

    /// A replica with the defaults.
    package init(
        name: String = "",
        place: StoreURL,
        line: Int,
        credentials: ReplicaCredentials? = nil,
        syncInterval: Int64 = 1_000_000_000
    ) {
        self.name = name
        self.place = place
        self.line = line
        self.credentials = credentials
        self.syncInterval = syncInterval
    }
}

/// Keys for a bucket. Printing one shows no secret.
package struct ReplicaCredentials: Sendable, Equatable, CustomStringConvertible {
    /// The access key's name.
    package var accessKeyID: String
    /// The secret.
    package var secret: String
    /// A session's token.
    package var sessionToken: String?

    /// Without secrets.
    package var description: String { "\(accessKeyID), secret redacted" }
}
