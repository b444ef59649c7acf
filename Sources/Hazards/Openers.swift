import Platform

/// A file that a process has open.
package struct OpenFile: Sendable, Hashable {
    /// The path as the process sees it.
    package var path: String
    /// The file's identity.
    package var device: UInt64
    package var inode: UInt64
    /// Its size in bytes.
    package var size: Int64
    /// Its name is gone, or another file has it now.
    package var isDeleted: Bool
}

/// A process that has a database open.
package struct Opener: Sendable, Hashable {
    /// The process, and the name of its program.
    package var process: Int32
    package var name: String
    /// The files it has open.
    package var databases: [OpenFile] = []
    package var wals: [OpenFile] = []
    package var shms: [OpenFile] = []
    /// The names of SQLite's locks that it holds.
    package var locks: [String] = []
    /// True when it sees the same mounts, and the same processes, as we do.
    package var sharesMounts = true
    package var sharesProcesses = true
    /// The version of SQLite that it uses, where it can be found out.
    package var sqliteVersion: String?

    /// True for Highwater itself.
    package var isHighwater: Bool { name == "highwater" }
    /// True for Litestream.
    package var isLitestream: Bool { name.hasPrefix("litestream") }
}

/// Everybody who has a database open, as far as this process may look. Nothing of the database is
/// opened for it: descriptors are read as links, and asked with `stat`.
package struct Openers: Sendable {
    /// The openers found, this process left out.
    package var processes: [Opener] = []
    /// Processes whose files we may not look at.
    package var hiddenProcesses = 0
    /// True when no process can be out of sight.
    package var isComplete = false

    /// Everybody found.
    package init(processes: [Opener] = [], isComplete: Bool = false) {
        self.processes = processes
        self.isComplete = isComplete
    }

    /// How many there are, other agents included.
    package var population: Population {
        isComplete && hiddenProcesses == 0 ? .counted(processes.count) : .unknown
    }

    /// Who has the database of a layout open, among the descriptors of a scan.
    package static func look(
        _ layout: Layout,
        host: HostFacts,
        scan: ProcessScan = .now()
    ) -> Openers {
        var openers = Openers(isComplete: host.seesAllProcesses)
        openers.hiddenProcesses = scan.hiddenProcesses
        let wanted = Wanted(layout)
        let locks = LockTable.current()
        for files in scan.processes {
            var opener = Opener(process: files.process, name: "")
            for descriptor in files.descriptors { wanted.take(descriptor, into: &opener) }
            wanted.leaveOutStrangers(&opener)
            // Under another name the database has another -wal.
            for file in opener.databases {
                let names = [file.path + "-wal", file.path + "-shm"]
                for descriptor in files.descriptors where names.contains(descriptor.path) {
                    wanted.add(descriptor, to: &opener)
                }
            }
            guard !opener.databases.isEmpty || !opener.wals.isEmpty || !opener.shms.isEmpty else {
                continue
            }
            describe(&opener, folder: files.folder, layout: layout, host: host, locks: locks)
            if !isFileServer(opener, layout) { openers.processes.append(opener) }
        }
        openers.processes.sort { $0.process < $1.process }
        return openers
    }

    /// The program that serves a FUSE mount has the files behind it open: on another device, and
    /// without SQLite's locks.
    private static func isFileServer(_ opener: Opener, _ layout: Layout) -> Bool {
        let devices = Set([layout.database, layout.wal, layout.shm].compactMap { $0?.device })
        let files = opener.databases + opener.wals + opener.shms
        return opener.locks.isEmpty && !files.contains { devices.contains($0.device) }
            && !files.contains(where: \.isDeleted)
    }

    private static func describe(
        _ opener: inout Opener,
        folder: String,
        layout: Layout,
        host: HostFacts,
        locks: LockTable
    ) {
        let name = (try? FileSystem.text(of: "\(folder)/comm", limit: 64)) ?? ""
        opener.name = String(name.split(separator: "\n").first ?? "?")
        opener.sharesMounts = namespace("\(folder)/ns/mnt") == host.mountNamespace
        opener.sharesProcesses = namespace("\(folder)/ns/pid") == host.pidNamespace
        for file in opener.databases {
            let held = locks.locks(inode: file.inode).filter { $0.process == opener.process }
            opener.locks += held.flatMap(\.databaseNames)
        }
        for file in opener.shms {
            let held = locks.locks(inode: file.inode).filter { $0.process == opener.process }
            opener.locks += held.flatMap(\.sharedMemoryNames)
        }
        opener.sqliteVersion = SQLiteVersion.used(by: opener.process)?.description
    }

    private static func namespace(_ path: String) -> UInt64? {
        ((try? FileSystem.status(path)) ?? nil)?.inode
    }
}

/// The files that are looked for.
private struct Wanted {
    private let layout: Layout
    private let names: [String]
    private let inodes: Set<UInt64>

    init(_ layout: Layout) {
        self.layout = layout
        let name = FileSystem.name(of: layout.path)
        names = [name, name + "-wal", name + "-shm"]
        inodes = Set([layout.database, layout.wal, layout.shm].compactMap { $0?.inode })
    }

    /// Adds a descriptor to the opener if it may be one of the files: by inode whatever its name,
    /// or by name whatever its inode.
    func take(_ descriptor: ProcessScan.Descriptor, into opener: inout Opener) {
        let name = FileSystem.name(of: descriptor.path)
        // Only what may be one of the files is asked with `stat`, which can block on a server that
        // does not answer.
        guard names.contains(name) || inodes.contains(descriptor.inode) else { return }
        add(descriptor, to: &opener)
    }

    func add(_ descriptor: ProcessScan.Descriptor, to opener: inout Opener) {
        guard let status = (try? FileSystem.status(descriptor.link)) ?? nil, status.isRegularFile
        else { return }
        let name = FileSystem.name(of: descriptor.path)
        let file = OpenFile(
            path: descriptor.path,
            device: status.device,
            inode: status.inode,
            size: status.size,
            isDeleted: descriptor.isDeleted || status.links == 0
        )
        if name.hasSuffix("-wal") {
            if !opener.wals.contains(file) { opener.wals.append(file) }
        } else if name.hasSuffix("-shm") {
            if !opener.shms.contains(file) { opener.shms.append(file) }
        } else if !opener.databases.contains(file) {
            opener.databases.append(file)
        }
    }

    /// Other databases may have the same name, and files of other file systems the same inode.
    func leaveOutStrangers(_ opener: inout Opener) {
        func isOurs(_ file: OpenFile, _ status: FileStatus?, _ suffix: String) -> Bool {
            let path = layout.path + suffix
            if file.isDeleted, file.path == path { return true }
            guard let status, file.inode == status.inode else { return false }
            return file.device == status.device
                || FileSystem.name(of: file.path) == FileSystem.name(of: path)
        }
        opener.databases.removeAll { !isOurs($0, layout.database, "") }
        let paths = opener.databases.map(\.path)
        opener.wals.removeAll { wal in
            !isOurs(wal, layout.wal, "-wal") && !paths.contains { wal.path == $0 + "-wal" }
        }
        opener.shms.removeAll { shm in
            !isOurs(shm, layout.shm, "-shm") && !paths.contains { shm.path == $0 + "-shm" }
        }
    }
}
