package import Platform

/// Where a database lies: its files, and the mounts that they are in. Looking opens nothing, so
/// that it is safe in a process that has the database open.
package struct Layout: Sendable {
    /// The path as the user named it.
    package var given: String
    /// The path with its links resolved: SQLite puts `-wal` and `-shm` beside *that* file.
    package var path: String
    /// True when the path as named is a symbolic link.
    package var isLink = false
    /// The folder's metadata.
    package var folderStatus: FileStatus
    /// The files' metadata, nil when they do not exist.
    package var database: FileStatus?
    package var wal: FileStatus?
    package var shm: FileStatus?
    /// Every mount that this process sees.
    package var mounts: MountTable
    /// The magic number of the folder's file system.
    package var magic: UInt32
    /// True in a gVisor sandbox.
    package var isGVisor = false

    /// The folder of the database.
    package var folder: String { FileSystem.folder(of: path) }
    /// The mount of the folder.
    package var folderMount: Mount? { mounts.mount(of: folder) }
    /// What the folder's file system is.
    package var kind: FileSystemKind {
        FileSystemKind(magic: magic, mount: folderMount, isGVisor: isGVisor)
    }

    /// A layout of known parts, for rules to be applied to.
    package init(
        path: String,
        folderStatus: FileStatus,
        database: FileStatus?,
        mounts: MountTable,
        magic: UInt32
    ) {
        given = path
        self.path = path
        self.folderStatus = folderStatus
        self.database = database
        self.mounts = mounts
        self.magic = magic
    }

    /// Looks at a path. The database need not exist yet.
    package static func look(_ given: String) throws -> Layout {
        let path = try target(of: given)
        let folder = FileSystem.folder(of: path)
        guard let folderStatus = try FileSystem.status(folder), folderStatus.isFolder else {
            throw HazardsError(
                .unusablePath,
                "the folder '\(folder)' of database '\(given)' does not exist; check the path"
            )
        }
        let database = try FileSystem.status(path)
        if let database, !database.isRegularFile {
            throw HazardsError(
                .unusablePath,
                "'\(given)' is a \(database.typeName), not a database file; check the path"
            )
        }
        var layout = Layout(
            path: path,
            folderStatus: folderStatus,
            database: database,
            mounts: (try? MountTable.current()) ?? MountTable(parsing: ""),
            magic: try FileSystem.typeNumber(at: folder)
        )
        layout.given = given
        layout.isLink = try FileSystem.statusOfName(given)?.isSymbolicLink == true
        layout.wal = try FileSystem.status(path + "-wal")
        layout.shm = try FileSystem.status(path + "-shm")
        layout.isGVisor = HostFacts.isGVisor
        return layout
    }

    /// The absolute path behind every link, also when the last one points to nothing.
    private static func target(of given: String) throws -> String {
        var path = given
        for _ in 0..<40 {
            if let resolved = try FileSystem.resolve(path) { return resolved }
            guard try FileSystem.statusOfName(path)?.isSymbolicLink == true else { break }
            let link = try FileSystem.linkTarget(path)
            path = link.hasPrefix("/") ? link : FileSystem.folder(of: path) + "/" + link
        }
        let folder = FileSystem.folder(of: path)
        guard let resolved = try FileSystem.resolve(folder) else {
            throw HazardsError(
                .unusablePath,
                "the folder '\(folder)' of database '\(given)' does not exist; check the path"
            )
        }
        return (resolved == "/" ? "" : resolved) + "/" + FileSystem.name(of: path)
    }
}
