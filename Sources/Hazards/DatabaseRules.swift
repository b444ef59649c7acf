import Glibc
import Platform
import WALFormat

/// What a database's own files mean. Pure.
package enum DatabaseRules {
    /// Bytes of WAL from which on it is worth a word: the agent's own limit.
    static let walBytesMax: Int64 = 256 * 1024 * 1024

    /// The findings. `agents` are the processes of Highwater, whose marks are pins.
    package static func findings(
        _ database: DatabaseInspection,
        _ layout: Layout,
        openers: Openers,
        library: SQLiteVersion?
    ) -> [Finding] {
        guard let size = layout.database?.size, size > 0 else { return [] }
        guard let header = database.header else {
            return [
                Finding(
                    .journalMode,
                    .warn,
                    "'\(layout.path)' is not a SQLite database, or is encrypted",
                    remedy: "Highwater backs up plain SQLite files"
                )
            ]
        }
        var findings = [journalMode(header, layout), lockingMode(database)].compactMap(\.self)
        findings += versions(header, openers: openers, library: library)
        findings += wal(database, openers)
        if header.isAutoVacuum {
            findings.append(
                Finding(
                    .autoVacuum,
                    .ok,
                    "auto_vacuum is \(header.isIncremental ? "incremental" : "full"): commits that "
                        + "shrink the database are stored with the pages that they drop"
                )
            )
        }
        findings += litestream(database)
        return findings
    }

    private static func journalMode(
        _ header: DatabaseInspection.Header,
        _ layout: Layout
    ) -> Finding {
        let page = header.pageSize.map { ", page size \($0)" } ?? ""
        if header.isWAL { return Finding(.journalMode, .ok, "WAL mode\(page)") }
        return Finding(
            .journalMode,
            .warn,
            "'\(layout.path)' uses a rollback journal\(page): Highwater follows WAL databases only",
            remedy: "run PRAGMA journal_mode=WAL in the application once, if this report has "
                + "nothing against it"
        )
    }

    private static func lockingMode(_ database: DatabaseInspection) -> Finding? {
        guard database.isExclusive else { return nil }
        return Finding(
            .lockingMode,
            .warn,
            "a connection holds the database exclusively: no second process can use it",
            remedy: "use PRAGMA locking_mode=NORMAL in the application"
        )
    }

    private static func versions(
        _ header: DatabaseInspection.Header,
        openers: Openers,
        library: SQLiteVersion?
    ) -> [Finding] {
        var used: [String] = []
        var isAffected = false
        func add(_ version: SQLiteVersion?, _ who: String) {
            guard let version else { return }
            used.append("\(who) \(version)")
            isAffected = isAffected || version.hasWALResetBug
        }
        add(header.writer, "last writer")
        for opener in openers.processes where !opener.isHighwater {
            add(opener.sqliteVersion.flatMap { SQLiteVersion(text: $0) }, opener.name)
        }
        if let library { used.append("Highwater's library \(library)") }
        guard !used.isEmpty else { return [] }
        let text = "SQLite: " + used.joined(separator: ", ")
        guard isAffected else { return [Finding(.sqliteVersion, .ok, text)] }
        return [
            Finding(
                .sqliteVersion,
                .ok,
                text + "; versions 3.7.0 to 3.51.2 can lose commits when a checkpoint meets a "
                    + "reset of the WAL; while Highwater is attached that cannot happen",
                remedy: "update the application's SQLite to 3.51.3, 3.50.7 or 3.44.6"
            )
        ]
    }

    private static func wal(_ database: DatabaseInspection, _ openers: Openers) -> [Finding] {
        var findings: [Finding] = []
        if let sample = database.index, sample.isStable,
            let violation = InvariantGuard.violation(in: sample)
        {
            findings.append(
                violation.finding(
                    database: "-wal and -shm",
                    verdict: .high,
                    how: "seen by the doctor, without the write lock"
                )
            )
        }
        let agents = Set(openers.processes.filter(\.isHighwater).map(\.process))
        let readers = database.readers.filter { !agents.contains($0.process) }
        let isLarge = database.walBytes > walBytesMax
        if !readers.isEmpty, let last = database.index?.header?.mxFrame {
            let list = readers.map {
                "frame \($0.frame)" + ($0.process > 0 ? " (process \($0.process))" : "")
            }
            findings.append(
                Finding(
                    .longReader,
                    isLarge ? .warn : .ok,
                    "readers hold the WAL at \(list.joined(separator: ", ")) of \(last)",
                    remedy: isLarge ? "end read transactions soon: the WAL grows meanwhile" : ""
                )
            )
        }
        findings.append(
            Finding(
                .walSize,
                isLarge ? .warn : .ok,
                "the WAL has \(database.walBytes) bytes",
                remedy: isLarge
                    ? "look for read transactions that never end, and for autocheckpoint being off"
                    : ""
            )
        )
        return findings
    }

    private static func litestream(_ database: DatabaseInspection) -> [Finding] {
        var left = database.litestreamTables.map { "table \($0)" }
        if let folder = database.litestreamFolder { left.append("folder '\(folder)'") }
        guard !left.isEmpty else { return [] }
        return [
            Finding(
                .litestream,
                .ok,
                "Litestream left \(left.joined(separator: ", "))",
                remedy: "harmless; once Litestream is gone for good they may be dropped"
            )
        ]
    }
}

/// What the machine's limits and permissions mean for an agent. Pure.
package enum ResourceRules {
    /// The findings. `free` and `total` are bytes of the folder's file system.
    package static func findings(
        _ layout: Layout,
        host: HostFacts,
        space: (free: UInt64, total: UInt64)?,
        descriptors: UInt64,
        user: UInt32,
        mayWriteFolder: Bool,
        mayWriteDatabase: Bool
    ) -> [Finding] {
        var findings = permissions(layout, user, mayWriteFolder, mayWriteDatabase)
        if let space {
            let percent = space.total == 0 ? 100 : space.free * 100 / space.total
            findings.append(
                Finding(
                    .freeSpace,
                    percent < 10 ? .warn : .ok,
                    "\(space.free / 1_048_576) MiB (\(percent) %) are free",
                    remedy: percent < 10
                        ? "the agent keeps nothing locally below 10 %: make room" : ""
                )
            )
        }
        if descriptors < 1024 {
            findings.append(
                Finding(
                    .descriptorLimit,
                    .warn,
                    "this process may open \(descriptors) files",
                    remedy: "raise it: ulimit -n 4096, or LimitNOFILE= in the unit"
                )
            )
        }
        if let watches = host.watchesMax, let instances = host.watchInstancesMax,
            watches < 1024 || instances < 16
        {
            findings.append(
                Finding(
                    .watchLimit,
                    .warn,
                    "inotify allows \(watches) watches and \(instances) instances to a user",
                    remedy: "sysctl fs.inotify.max_user_watches=8192 and "
                        + "fs.inotify.max_user_instances=128"
                )
            )
        }
        return findings
    }

    private static func permissions(
        _ layout: Layout,
        _ user: UInt32,
        _ mayWriteFolder: Bool,
        _ mayWriteDatabase: Bool
    ) -> [Finding] {
        guard let database = layout.database else { return [] }
        let owner = database.owner
        guard mayWriteDatabase, mayWriteFolder else {
            let what = mayWriteDatabase ? "the folder '\(layout.folder)'" : "'\(layout.path)'"
            return [
                Finding(
                    .permissions,
                    .warn,
                    "user \(user) may not read and write \(what)",
                    remedy: "run Highwater as user \(owner), who owns the database"
                )
            ]
        }
        guard user == owner || user == 0 else {
            return [
                Finding(
                    .permissions,
                    .warn,
                    "user \(user) does not own the database (user \(owner) does): Highwater would "
                        + "wait until the application has made -wal and -shm",
                    remedy: "run it as user \(owner)"
                )
            ]
        }
        return [
            Finding(.permissions, .ok, "owned by user \(owner); this is user \(user)")
        ]
    }
}
