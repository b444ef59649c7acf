import Bytes
package import Configuration
import Platform
import SQLiteAccess

/// Finds the databases below a folder, and notices when they come and go.
///
/// It looks at the folders' modification times instead of at events: that costs one stat(2) a
/// folder and look, needs no inotify watch, and cannot overflow. A folder that has not changed
/// holds the same names.
package struct FolderScan: Sendable {
    /// A database in a folder, or a name that may become one.
    private enum Kind: Hashable, Sendable {
        case database
        /// Too short for a database: an application may be about to write it.
        case unfinished
        case other
    }

    private struct Folder: Sendable {
        var modified: Int64
        var isSettled: Bool
        var files: [String: Kind] = [:]
        var folders: [String] = []
    }

    /// Folders below a folder, at most.
    package static let foldersMax = 100_000
    private static let header = Array("SQLite format 3\0".utf8)
    /// Times of files are as coarse as the kernel's tick, in milliseconds: a second change within
    /// one is not seen.
    private static let tick: Int64 = 50

    /// What is looked for.
    package let settings: FolderSettings
    private var known: [String: Folder] = [:]
    /// What could not be read at the last look, and why.
    package private(set) var problem: String?

    /// A scan that has not looked yet.
    package init(_ settings: FolderSettings) { self.settings = settings }

    /// Folders that each look asks for.
    package var folderCount: Int { known.count }

    /// Looks, and returns the databases' paths from the folder, sorted.
    ///
    /// Files that end in `-wal`, `-shm` or `-journal` and hidden folders never count. What is there
    /// has to begin as a SQLite database does.
    package mutating func look() -> [String] {
        problem = nil
        var databases: [String] = []
        var next: [String: Folder] = [:]
        var open = [""]
        while let path = open.popLast() {
            guard next.count < Self.foldersMax else {
                problem = "more than \(Self.foldersMax) folders lie below '\(settings.path)'"
                break
            }
            guard var folder = read(path) else { continue }
            for (name, kind) in folder.files where kind == .unfinished {
                folder.files[name] = Self.kind(of: full(path + name))
            }
            for (name, kind) in folder.files where kind == .database {
                databases.append(path + name)
            }
            if settings.isRecursive { open += folder.folders.map { path + $0 + "/" } }
            next[path] = folder
        }
        known = next
        return databases.sorted()
    }

    private func full(_ path: String) -> String { settings.path + "/" + path }

    /// What is in a folder: what is known when it has not changed since.
    private mutating func read(_ path: String) -> Folder? {
        let place = full(path)
        do throws(SystemError) {
            guard let status = try FileSystem.status(place), status.isFolder else {
                if path.isEmpty { problem = "the folder '\(settings.path)' does not exist" }
                return nil
            }
            let modified = status.modifiedMilliseconds
            if let known = known[path], known.modified == modified, known.isSettled {
                return known
            }
            let now = Timestamp.now.milliseconds
            var folder = Folder(modified: modified, isSettled: now - modified > Self.tick)
            let before = known[path]?.files ?? [:]
            for entry in try FileSystem.entries(of: place) {
                note(entry, in: place, before: before, &folder)
            }
            return folder
        } catch {
            problem = "a folder cannot be read: \(error); run as a user that may read it"
            // What was there is taken to be there: an agent is not ended by a passing error.
            return known[path]
        }
    }

    private func note(
        _ entry: FolderEntry,
        in place: String,
        before: [String: Kind],
        _ folder: inout Folder
    ) {
        let name = entry.name
        if entry.kind == .special || name.hasPrefix(".") { return }
        let path = place + (place.hasSuffix("/") ? "" : "/") + name
        var isFolder = entry.kind == .folder
        if entry.kind == .unknown {
            // A link to a folder is not followed: it may lead back.
            isFolder = (try? FileSystem.statusOfName(path))??.isFolder == true
        }
        if isFolder {
            folder.folders.append(name)
        } else if !Self.isCompanion(name), NamePattern.matches(name, settings.pattern) {
            // A database stays one while it has its name; it may be locked just now.
            folder.files[name] = before[name] == .database ? .database : Self.kind(of: path)
        }
    }

    private static func isCompanion(_ name: String) -> Bool {
        ["-wal", "-shm", "-journal", ".highwater"].contains { name.hasSuffix($0) }
    }

    private static func kind(of path: String) -> Kind {
        guard let status = try? FileSystem.status(path), status.isRegularFile else { return .other }
        if status.size < 100 { return .unfinished }
        guard let bytes = try? OpenDatabases.firstBytes(of: path, count: header.count) else {
            return .unfinished
        }
        return bytes == header ? .database : .other
    }
}
