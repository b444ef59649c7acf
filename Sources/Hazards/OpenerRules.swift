import Platform

/// What the openers of a database mean. Pure.
package enum OpenerRules {
    /// The findings about a database at a layout. For an agent (`isAgent`) another Highwater is one
    /// too many; for the doctor it is what one would expect.
    package static func findings(
        _ layout: Layout,
        _ openers: Openers,
        isAgent: Bool = false
    ) -> [Finding] {
        var findings = [summary(openers)]
        for opener in openers.processes {
            if let finding = replaced(layout, opener) ?? otherSuperblock(layout, opener)
                ?? otherWAL(layout, opener) ?? missingLocks(layout, opener)
            {
                findings.append(finding)
            }
            if isAgent, opener.isHighwater {
                findings.append(
                    Finding(
                        .otherAgent,
                        .warn,
                        "process \(opener.process) is a Highwater with this database, too: both "
                            + "hold back checkpoints, and both run them",
                        remedy: "stop one of them; one agent can have several replicas"
                    )
                )
            }
            if opener.isLitestream {
                findings.append(
                    Finding(
                        .otherAgent,
                        .warn,
                        "Litestream (process \(opener.process)) follows this database, too: both "
                            + "hold back checkpoints, and both run them",
                        remedy: "stop one of them"
                    )
                )
            }
        }
        return findings
    }

    private static func summary(_ openers: Openers) -> Finding {
        let list = openers.processes.map { opener in
            let locks = opener.locks.isEmpty ? "no locks" : opener.locks.joined(separator: " ")
            return "\(opener.name) (process \(opener.process), \(locks))"
        }.joined(separator: ", ")
        let seen =
            list.isEmpty ? "no process has the database open" : "the database is open in \(list)"
        var hidden = ""
        if openers.hiddenProcesses > 0 {
            hidden = "; \(openers.hiddenProcesses) processes of other users cannot be looked at"
        } else if !openers.isComplete {
            hidden = "; processes of other containers cannot be seen from here"
        }
        return Finding(.openers, .ok, seen + hidden)
    }

    /// The opener has the database's file, or its WAL's, under a name that is now another file's.
    private static func replaced(_ layout: Layout, _ opener: Opener) -> Finding? {
        let files = [
            (opener.databases, layout.database, ""), (opener.wals, layout.wal, "-wal"),
            (opener.shms, layout.shm, "-shm"),
        ]
        for (open, current, suffix) in files {
            for file in open where file.isDeleted && file.device == layout.folderStatus.device {
                let isSameName = file.path == layout.path + suffix
                guard isSameName, current?.inode != file.inode else { continue }
                return Finding(
                    .replacedFile,
                    // In other mounts another file may have the same path.
                    opener.sharesMounts ? .fatal : .high,
                    "\(who(opener)) has '\(file.path)' open, which was deleted or replaced since: "
                        + "what it commits goes to a file that nobody else sees",
                    remedy: "restart that process now; replace a database only while nobody has it "
                        + "open, and remove -wal and -shm together with it"
                )
            }
        }
        return nil
    }

    /// Equal inode and name on another device: the same file through a second file system. The
    /// program that serves a FUSE mount has the files behind it open, too, but holds no locks.
    private static func otherSuperblock(_ layout: Layout, _ opener: Opener) -> Finding? {
        guard let database = layout.database, !opener.locks.isEmpty else { return nil }
        let name = FileSystem.name(of: layout.path)
        for file in opener.databases
        where file.inode == database.inode && file.device != database.device
            && FileSystem.name(of: file.path) == name && file.size == database.size
        {
            return Finding(
                .otherSuperblock,
                .fatal,
                "\(who(opener)) has the same file open through another file system "
                    + "('\(file.path)', device \(device(file.device)); here "
                    + "\(device(database.device))): the two share neither memory nor locks",
                remedy: "let both use one mount of the folder"
            )
        }
        return nil
    }

    /// The same database with another `-wal`: a mounted file, or a hard link.
    private static func otherWAL(_ layout: Layout, _ opener: Opener) -> Finding? {
        guard let database = layout.database,
            let open = opener.databases.first(where: {
                $0.inode == database.inode && $0.device == database.device
            })
        else { return nil }
        for wal in opener.wals where !wal.isDeleted && wal.path == open.path + "-wal" {
            let isOurs = wal.inode == layout.wal?.inode && wal.device == layout.wal?.device
            guard !isOurs else { continue }
            return Finding(
                .otherWAL,
                .fatal,
                "\(who(opener)) has the database open as '\(open.path)', with another -wal than "
                    + "the one beside '\(layout.path)': the two see none of each other's commits, "
                    + "and checkpoints destroy them",
                remedy: "mount the folder and not the file, and use one name for the database; "
                    + "stop one of the two first"
            )
        }
        return nil
    }

    /// A WAL connection holds DMS on `-shm` and SHARED on the database as long as it lives.
    private static func missingLocks(_ layout: Layout, _ opener: Opener) -> Finding? {
        // A server of files on another device, as above, is no connection.
        guard let shm = layout.shm, !opener.locks.contains("DMS"),
            opener.shms.contains(where: {
                $0.inode == shm.inode && $0.device == shm.device && !$0.isDeleted
            })
        else { return nil }
        return Finding(
            .missingLocks,
            .high,
            "\(who(opener)) has -shm open but does not hold the lock that every connection holds: "
                + "it uses no locks (nolock, unix-none), or lost them when it closed another "
                + "descriptor of the file",
            remedy: "restart it; let nothing but SQLite open the database, -wal and -shm, and use "
                + "the default VFS"
        )
    }

    private static func who(_ opener: Opener) -> String {
        "process \(opener.process) (\(opener.name))"
            + (opener.sharesMounts ? "" : ", in another container,")
    }

    static func device(_ number: UInt64) -> String {
        let major = (number >> 8) & 0xfff | (number >> 32) & ~0xfff
        let minor = number & 0xff | (number >> 12) & ~0xff
        return "\(major):\(minor)"
    }
}
