import Glibc
package import Platform

/// Waiting for an application to create its database, and saying what is wrong with one that
/// cannot be followed (DESIGN §4.5).
package struct DatabaseWait: Sendable {
    /// How long a database may be in rollback mode: an application that has just created it needs
    /// a moment to switch.
    private static let rollbackGrace = Nanoseconds.second
    private static let lookInterval = 50 * Nanoseconds.millisecond
    private static let lookIntervalMax = Nanoseconds.second

    /// Returns once the database can be attached to; nil when a stop was requested first. The path
    /// returned has its links resolved.
    package static func ready(
        _ path: String,
        stop: StopRequest,
        executor: ThreadExecutor,
        log: @escaping ReplicationLog
    ) async throws -> String? {
        var wait = DatabaseWait(path: path, log: log)
        // Also once after the stop: what an application made and left meanwhile is to be kept.
        var isLast = stop.isRequested
        while true {
            let looked = wait
            let (found, next) = try await executor.run {
                var looked = looked
                return (try looked.look(), looked)
            }
            wait = next
            if let found { return found }
            if isLast { return nil }
            await stop.pause(nanoseconds: wait.interval)
            isLast = stop.isRequested
            wait.interval = min(wait.interval * 21 / 20, lookIntervalMax)
        }
    }

    private let path: String
    private let log: ReplicationLog
    private var said = ""
    private var rollbackSince: MonotonicTime?
    private var interval = Self.lookInterval

    private init(path: String, log: @escaping ReplicationLog) {
        self.path = path
        self.log = log
    }

    /// One look; the path with its links resolved when the database can be attached to.
    private mutating func look() throws -> String? {
        let folder = FileSystem.folder(of: path)
        guard
            try Self.look({ () throws(SystemError) in try FileSystem.status(folder) })?.isFolder
                == true
        else {
            throw ReplicationError(
                .noFolder,
                "the folder '\(folder)' of database '\(path)' does not exist; check the path"
            )
        }
        switch try Self.look({ () throws(SystemError) in try DatabaseHeader.look(path) }) {
        case .wal:
            if try Self.mayOpen(path) { return try FileSystem.resolve(path) ?? path }
            say(
                "waiting for the application to open the database: "
                    + "only its owner may create the -wal and -shm files"
            )
        case .missing:
            say("waiting for the application to create the database")
        case .notADatabase:
            throw ReplicationError(
                .notADatabase,
                "'\(path)' is not a SQLite database or is encrypted; "
                    + "Highwater needs a plain SQLite file"
            )
        case .rollbackJournal:
            let now = MonotonicTime.now
            let since = rollbackSince ?? now
            rollbackSince = since
            if now - since > Self.rollbackGrace {
                throw ReplicationError(
                    .notWAL,
                    "'\(path)' uses a rollback journal; Highwater never converts a database: "
                        + "run PRAGMA journal_mode=WAL in the application once, "
                        + "then start again"
                )
            }
        }
        return nil
    }

    private mutating func say(_ message: String) {
        if said != message { log(.info, message, [("database", path)]) }
        said = message
    }

    private static func look<T>(_ body: () throws(SystemError) -> T) throws -> T {
        do throws(SystemError) { return try body() } catch {
            if error.number == EACCES || error.number == EPERM {
                throw ReplicationError(
                    .accessDenied,
                    "permission denied: \(error); run as the database's owner, "
                        + "or grant read and write permission"
                )
            }
            throw error
        }
    }

    /// True when opening creates no file, or creates it with the right owner.
    private static func mayOpen(_ path: String) throws -> Bool {
        guard let status = try FileSystem.status(path) else { return false }
        guard FileSystem.isAccessible(path, mode: R_OK | W_OK) else {
            throw ReplicationError(
                .accessDenied,
                "no permission to read and write '\(path)'; "
                    + "run as the database's owner, or grant it"
            )
        }
        let user = geteuid()
        if user == 0 || user == status.owner { return true }
        return try FileSystem.status(path + "-wal") != nil
            && FileSystem.status(path + "-shm") != nil
    }
}
