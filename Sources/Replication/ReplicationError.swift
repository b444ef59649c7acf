/// Why replication of a database cannot start or go on.
package struct ReplicationError: Error, CustomStringConvertible {
    /// What kind of failure it is; the command line maps each to an exit code.
    package enum Code: Hashable, Sendable {
        /// The database's folder does not exist.
        case noFolder
        /// The file is not a SQLite database, or is encrypted.
        case notADatabase
        /// The database does not use WAL mode.
        case notWAL
        /// Another connection holds the database exclusively.
        case exclusivelyLocked
        /// Permission denied.
        case accessDenied
        /// The shared-memory assumption or continuity was violated; a new generation is needed.
        case hazard
        /// The database was deleted, replaced or changed its page size while it was followed.
        case databaseChanged
        /// Another agent on this machine replicates the database to the same place.
        case ownedByAnother
        /// Another process went on in our generation; a child generation has to begin.
        case superseded
        /// The store has lost our generation; another one has to begin.
        case backupGone
        /// Too much waits for the store; the database was let go of until it is back.
        case backlogTooLarge
        /// The process may not have as many files open as one more database needs.
        case tooManyDatabases
        /// The last commits could not be stored before the deadline of the shutdown.
        case notDurable
    }

    /// What kind of failure it is.
    package let code: Code
    /// What happened and to which database, and what to do.
    package let message: String

    /// A failure.
    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// True when attaching anew may help.
    package var isRetryable: Bool {
        [.hazard, .databaseChanged, .superseded, .backupGone, .backlogTooLarge].contains(code)
    }

    package var description: String { message }
}
