import Configuration
import Platform

/// What a process is asked to back up: its settings, what was registered since, and what is in the
/// folders.
struct WantedDatabases: Sendable {
    /// What the settings file says.
    var settings: [DatabaseSettings] = []
    /// Folders that are not watched are looked at, too, the next time.
    var looksEverywhere = false
    private var registered: [DatabaseSettings] = []
    private var unregistered: Set<String> = []
    private var scans: [FolderSettings: FolderScan] = [:]
    private var found: [FolderSettings: [String]] = [:]
    private var problems: [String] = []

    /// Between two looks at the folders, in nanoseconds, and per folder for very many of them.
    static let lookIntervalMin = Nanoseconds.second
    private static let lookIntervalPerFolder = 10 * Nanoseconds.millisecond

    /// Between two looks at the folders, in nanoseconds.
    var lookInterval: Int64 {
        let folders = scans.values.reduce(0) { $0 + $1.folderCount }
        return max(Self.lookIntervalMin, Int64(folders) * Self.lookIntervalPerFolder)
    }

    /// Whether databases may come and go without a word.
    var hasWatchedFolders: Bool {
        settings.contains {
            if case .folder(let folder) = $0.place { folder.isWatched } else { false }
        }
    }

    /// Adds a database that the settings do not name.
    mutating func register(_ database: DatabaseSettings) throws(SupervisionError) {
        guard case .file(let path) = database.place else { return }
        unregistered.remove(path)
        if let index = registered.firstIndex(where: { $0.place == database.place }) {
            registered[index] = database
        } else {
            registered.append(database)
        }
    }

    /// Leaves a database out, whoever named it, until the settings are read again.
    mutating func unregister(_ path: String) throws(SupervisionError) {
        let count = registered.count
        registered.removeAll { $0.place == .file(path) }
        let isListed = settings.contains { $0.place == .file(path) }
        let isFound = found.contains { folder, names in
            names.contains { folder.path + "/" + $0 == path }
        }
        guard registered.count < count || isListed || isFound else { throw Fleet.unknown(path) }
        unregistered.insert(path)
    }

    /// Looks at the folders. Nil when nothing has changed since the last look. Blocks.
    mutating func look() -> Assignments? {
        let all = settings + registered
        let before = (found, self.problems)
        var folders: Set<FolderSettings> = []
        var problems: [String] = []
        for entry in all {
            guard case .folder(let folder) = entry.place, folders.insert(folder).inserted else {
                continue
            }
            var scan = scans[folder] ?? FolderScan(folder)
            if looksEverywhere || folder.isWatched || found[folder] == nil {
                found[folder] = scan.look()
                scans[folder] = scan
            }
            if let problem = scan.problem { problems.append(problem) }
        }
        let isNew = looksEverywhere
        looksEverywhere = false
        scans = scans.filter { folders.contains($0.key) }
        found = found.filter { folders.contains($0.key) }
        self.problems = problems
        guard isNew || before != (found, problems) else { return nil }
        let found = found
        let unregistered = unregistered
        var assignments = Assignments(all) { folder in found[folder] ?? [] }
        assignments.leaveOut(unregistered, adding: problems)
        return assignments
    }

    /// The settings were read again: what the operator took out comes back.
    mutating func replaceSettings(_ settings: [DatabaseSettings]) {
        self.settings = settings
        unregistered = []
    }
}

/// The result of a look.
struct WantedLook: Sendable {
    let wanted: WantedDatabases
    let assignments: Assignments?
}
