package import Configuration
package import ObjectStorage

/// One database on its way to one place: what one agent is told to do.
package struct Assignment: Sendable, Equatable {
    /// What makes an assignment the same one, whatever else about it changes.
    package struct Key: Hashable, Sendable {
        /// The database's path.
        package let database: String
        /// Where its objects are, without options.
        package let location: String
    }

    /// The database's path.
    package var database: String
    /// The replica's name; empty when the database has only one.
    package var replica: String
    /// Where it goes.
    package var place: StoreURL
    /// Keys for the place; nil leaves it to the environment.
    package var credentials: ReplicaCredentials?
    /// The least time between two uploads, in nanoseconds.
    package var syncInterval: Int64
    /// When and what is kept.
    package var keeping: KeepingSettings
    /// What happens when the store takes nothing for very long.
    package var outage: OutageSettings
    /// When and how its backup is verified.
    package var verify: VerifySettings
    /// Whether an unsafe set-up is no reason not to start.
    package var allowsHazard: Bool
    /// Whether a heartbeat is written beside databases on shared file systems.
    package var writesHeartbeat: Bool
    /// Whether it is restored before it is followed, when it is missing.
    package var restoresIfMissing: Bool

    /// Its identity.
    package var key: Key { Key(database: database, location: place.location) }

    /// What a database's settings say about one of its replicas.
    package init(
        _ settings: DatabaseSettings,
        _ replica: ReplicaSettings,
        database: String,
        place: StoreURL
    ) {
        self.database = database
        self.replica = replica.name
        self.place = place
        credentials = replica.credentials
        syncInterval = replica.syncInterval
        keeping = settings.keeping
        outage = settings.outage
        verify = settings.verify
        allowsHazard = settings.allowsHazard
        writesHeartbeat = settings.writesHeartbeat
        restoresIfMissing = settings.restoresIfMissing
    }
}

/// All that a process is to do.
package struct Assignments: Sendable {
    /// In the order of the settings; each key once.
    package private(set) var all: [Assignment] = []
    /// What cannot be done, and why; the rest is not touched by it.
    package private(set) var problems: [String] = []
    private var lines: [Assignment.Key: Int] = [:]
    private var locations: [String: String] = [:]

    /// What settings ask for. `databases` lists those below a folder, by their paths from there.
    package init(
        _ settings: [DatabaseSettings],
        databases: (FolderSettings) -> [String]
    ) {
        for entry in settings {
            switch entry.place {
            case .file(let path): add(entry, path: path, below: nil)
            case .folder(let folder):
                for name in databases(folder) {
                    add(entry, path: folder.path + "/" + name, below: name)
                }
            }
        }
    }

    /// Leaves databases out, and adds what went wrong elsewhere.
    mutating func leaveOut(_ databases: Set<String>, adding problems: [String]) {
        all.removeAll { databases.contains($0.database) }
        self.problems += problems
    }

    /// A database of a folder goes to its own name below the replica's place.
    private mutating func add(_ settings: DatabaseSettings, path: String, below name: String?) {
        for replica in settings.replicas {
            do throws(StoreError) {
                let place =
                    try name.map { name throws(StoreError) in try replica.place.appending(name) }
                    ?? replica.place
                let assignment = Assignment(settings, replica, database: path, place: place)
                // A database that has an entry of its own and lies in a folder, too: the entry that
                // comes first counts.
                if lines[assignment.key] != nil { continue }
                if let other = locations[assignment.key.location] {
                    problems.append(
                        "'\(path)' and '\(other)' would go to one place, \(place); "
                            + "'\(path)' is not backed up there: give it another one"
                    )
                    continue
                }
                locations[assignment.key.location] = path
                lines[assignment.key] = settings.line
                all.append(assignment)
            } catch {
                problems.append("'\(path)' cannot be backed up to \(replica.place): \(error)")
            }
        }
    }
}
