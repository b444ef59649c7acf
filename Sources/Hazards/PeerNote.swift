import Glibc
package import Platform

/// What a process says of itself to others that see the same folder: a few lines `name=value` in a
/// small file, written whole and renamed into place, so that it is seen even where memory is not
/// shared (network file systems).
package struct PeerNote: Sendable, Hashable {
    /// A random name, one per process and database.
    package var id: String
    /// Counts up with every beat; a reader that sees it change knows that the writer lives. Clocks
    /// are never compared.
    package var beat: UInt64 = 0
    /// Seconds between two beats.
    package var interval: UInt32 = 5
    /// The writer's kernel.
    package var bootID: String
    /// The file as the writer sees it.
    package var device: UInt64
    package var inode: UInt64
    /// `st_ino` of the writer's namespaces.
    package var pidNamespace: UInt64
    package var mountNamespace: UInt64
    /// The writer's process number, in its own pid namespace, and host name.
    package var process: Int32
    package var host: String
    /// The writer's mount: type and source.
    package var mount: String
    /// What else is said, by name; the probe's phases. Names and values hold no line breaks.
    package var extra: [String: String] = [:]

    /// A note about this process and a file.
    package init(id: String, host: HostFacts, device: UInt64, inode: UInt64, mount: Mount?) {
        self.id = id
        bootID = host.bootID
        self.device = device
        self.inode = inode
        pidNamespace = host.pidNamespace
        mountNamespace = host.mountNamespace
        process = getpid()
        self.host = host.hostName
        self.mount = mount.map { "\($0.type) \($0.source)" } ?? ""
    }

    /// The note as text.
    package var text: String {
        func clean(_ value: String) -> String {
            String(value.map { $0.isNewline ? " " : $0 }.prefix(512))
        }
        let more = extra.sorted { $0.key < $1.key }.map { "extra.\($0.key)=\(clean($0.value))\n" }
        return """
            highwater-peer=1
            id=\(id)
            beat=\(beat)
            interval=\(interval)
            boot_id=\(clean(bootID))
            device=\(device)
            inode=\(inode)
            pid_namespace=\(pidNamespace)
            mount_namespace=\(mountNamespace)
            process=\(process)
            host=\(clean(host))
            mount=\(clean(mount))

            """ + more.joined()
    }

    /// Reads a note; nil when the text is none.
    package init?(text: String) {
        var values: [Substring: Substring] = [:]
        for line in text.split(separator: "\n") {
            guard let equals = line.firstIndex(of: "=") else { return nil }
            values[line[..<equals]] = line[line.index(after: equals)...]
        }
        func number<T: FixedWidthInteger>(_ name: Substring) -> T? {
            values[name].flatMap { T($0) }
        }
        guard values["highwater-peer"] == "1", let id = values["id"], !id.isEmpty,
            let beat: UInt64 = number("beat"), let interval: UInt32 = number("interval"),
            let device: UInt64 = number("device"), let inode: UInt64 = number("inode"),
            let process: Int32 = number("process")
        else { return nil }
        self.id = String(id)
        self.beat = beat
        self.interval = interval
        bootID = String(values["boot_id"] ?? "")
        self.device = device
        self.inode = inode
        pidNamespace = number("pid_namespace") ?? 0
        mountNamespace = number("mount_namespace") ?? 0
        self.process = process
        host = String(values["host"] ?? "")
        mount = String(values["mount"] ?? "")
        for (name, value) in values where name.hasPrefix("extra.") {
            extra[String(name.dropFirst("extra.".count))] = String(value)
        }
    }

    /// True when both notes are of one process: an agent with several replicas.
    package func isSameProcess(as other: PeerNote) -> Bool {
        bootID == other.bootID && pidNamespace == other.pidNamespace && process == other.process
            && host == other.host
    }

    /// What another note means for this one, while both live.
    package func conflict(with other: PeerNote) -> PeerConflict {
        if !bootID.isEmpty, !other.bootID.isEmpty, bootID != other.bootID { return .otherKernel }
        // An overlay numbers files by layer; equal inodes on two devices are two superblocks.
        if inode == other.inode, device != other.device { return .otherSuperblock }
        return inode == other.inode ? .sameFile : .otherFile
    }
}

/// How two processes with one folder relate.
package enum PeerConflict: Sendable, Hashable {
    /// Two kernels.
    case otherKernel
    /// One kernel, one file, two file systems over it.
    case otherSuperblock
    /// The same file: two agents on one database.
    case sameFile
    /// The database has been replaced for one of them.
    case otherFile
}

/// The folder in which notes lie: one file each, `<id>.peer`.
package struct PeerFolder: Sendable {
    /// The folder's path.
    package let path: String
    private static let suffix = ".peer"

    /// The folder at a path; nothing is made yet.
    package init(path: String) { self.path = path }

    /// Writes a note in the place of the writer's last one.
    package func write(_ note: PeerNote) throws(SystemError) {
        let target = "\(path)/\(note.id)\(Self.suffix)"
        let temporary = "\(target).new"
        do {
            // Scoped, so that it is closed, which is when network file systems send it.
            let file = try FileDescriptor(
                path: temporary,
                flags: O_WRONLY | O_CREAT | O_TRUNC,
                mode: 0o644
            )
            try file.write(Array(note.text.utf8), at: 0)
        }
        try FileSystem.rename(temporary, to: target)
    }

    /// The notes of others. What is not a note is left out.
    package func others(than id: String) -> [PeerNote] {
        let names = ((try? FileSystem.names(in: path)) ?? []).filter { $0.hasSuffix(Self.suffix) }
        return names.sorted().prefix(Limits.notesPerFolder).compactMap { name in
            let text = try? FileSystem.text(of: "\(path)/\(name)", limit: Limits.noteBytes)
            guard let note = text.flatMap({ PeerNote(text: $0) }), note.id != id,
                name == note.id + Self.suffix
            else { return nil }
            return note
        }
    }

    /// Removes a note.
    package func remove(_ id: String) {
        try? FileSystem.remove("\(path)/\(id)\(Self.suffix)")
        try? FileSystem.remove("\(path)/\(id)\(Self.suffix).new")
    }

    /// Removes the folder, if it is empty.
    package func removeIfEmpty() { try? FileSystem.removeFolder(path) }
}
