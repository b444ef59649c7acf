import Platform

/// Who else may have the database open, as far as can be seen.
package enum Population: Sendable, Hashable {
    /// Every process was looked at, and this many others have it open.
    case counted(Int)
    /// Some processes cannot be seen: another container's, or another user's.
    case unknown

    /// Risky file systems get worse when more than one process is on them, or may be.
    var isOneAtMost: Bool { if case .counted(let count) = self { count <= 1 } else { false } }
}

/// What a layout means (research: the catalogue in docs/HAZARDS.md). Pure.
package enum LayoutRules {
    /// The findings, in the order in which they are looked for.
    package static func findings(_ layout: Layout, population: Population) -> [Finding] {
        var findings = [fileSystem(layout, population)]
        findings += fileMount(layout)
        findings += mountOptions(layout)
        findings += secondMount(layout)
        findings += names(layout)
        findings += devices(layout)
        return findings
    }

    static let moveToDisk =
        "put the folder of the database on a disk of this machine or on a named volume that one "
        + "machine mounts; where that cannot be, PRAGMA journal_mode=DELETE and a backup by other "
        + "means"

    // MARK: - The file system

    private static func fileSystem(_ layout: Layout, _ population: Population) -> Finding {
        let kind = layout.kind
        let place = "'\(layout.folder)' is on \(kind.name)"
        let risky: Verdict = population.isOneAtMost ? .warn : .high
        switch kind.family {
        case .local:
            return Finding(.fileSystem, .ok, "\(place): processes share its memory and locks")
        case .memory:
            return Finding(
                .fileSystem,
                .ok,
                "\(place): processes share its memory and locks, but it is gone after a reboot"
            )
        case .overlay:
            return Finding(
                .fileSystem,
                .warn,
                "\(place), the layer of this container: no other container sees these files, and "
                    + "they go when the container goes",
                remedy: "mount a named volume or a folder of the host there, and put the database "
                    + "into it"
            )
        case .network, .cluster:
            let text = "\(place), which other machines can mount: they share no memory"
            return Finding(.fileSystem, risky, text, remedy: moveToDisk)
        case .hostShare:
            return Finding(
                .fileSystem,
                risky,
                "\(place), a folder of a host seen in a virtual machine: host and machine do not "
                    + "share memory, and damage was reported from inside one machine, too",
                remedy: "use a named volume (docker volume create) instead of a shared folder"
            )
        case .gvisor:
            return Finding(
                .fileSystem,
                .warn,
                "\(place): processes in one sandbox share memory and locks, two sandboxes do not",
                remedy: "run application and Highwater in one pod, and nothing else on the volume"
            )
        case .fuse:
            return Finding(
                .fileSystem,
                risky,
                "\(place), served by a program: coherent within one mount at best; two mounts of "
                    + "one folder lose commits silently",
                remedy: moveToDisk
            )
        case .unknown:
            return Finding(
                .fileSystem,
                .warn,
                "\(place), which Highwater does not know",
                remedy: "run 'highwater doctor probe' on its folder from both sides"
            )
        }
    }

    private static func mountOptions(_ layout: Layout) -> [Finding] {
        guard let mount = layout.folderMount else { return [] }
        var findings: [Finding] = []
        let localLocks = ["all", "posix"].contains(mount.value("local_lock") ?? "")
        if mount.type.hasPrefix("nfs"), mount.has("nolock") || localLocks {
            let option = mount.has("nolock") ? "nolock" : "local_lock"
            findings.append(noLocks(mount, option))
        }
        if ["cifs", "smb3"].contains(mount.type), mount.has("nobrl") {
            findings.append(noLocks(mount, "nobrl"))
        }
        if mount.has("ro") {
            findings.append(
                Finding(
                    .mountOptions,
                    .warn,
                    "'\(mount.point)' is mounted read-only: SQLite cannot make -wal and -shm there",
                    remedy: "mount it read-write for Highwater, too: it writes no data, but has to "
                        + "take part in the locking"
                )
            )
        }
        return findings
    }

    private static func noLocks(_ mount: Mount, _ option: String) -> Finding {
        Finding(
            .mountOptions,
            .high,
            "'\(mount.point)' (\(mount.type)) is mounted with '\(option)': no other machine sees "
                + "the locks taken here",
            remedy: moveToDisk
        )
    }

    // MARK: - Mounts and names

    private static func fileMount(_ layout: Layout) -> [Finding] {
        for suffix in ["", "-wal", "-shm"] {
            let path = layout.path + suffix
            guard let mount = layout.mounts.mount(of: path), mount.point == path else { continue }
            let gone = mount.root.hasSuffix("//deleted")
            return [
                Finding(
                    .fileMount,
                    .fatal,
                    "the file '\(path)' itself is mounted (from '\(mount.root)'), not its folder: "
                        + "-wal and -shm beside it are this container's own, and commits of "
                        + "other containers vanish without an error"
                        + (gone ? "; its source has been deleted or replaced" : ""),
                    remedy: "mount the folder that holds the database instead of the file: "
                        + "-v ./data:/data and not -v ./data/app.db:/data/app.db; in Kubernetes "
                        + "mount the volume without a subPath that names the file"
                )
            ]
        }
        return []
    }

    /// A file system that is not coherent, mounted twice: two superblocks over one folder.
    private static func secondMount(_ layout: Layout) -> [Finding] {
        guard !layout.kind.isCoherent, let own = layout.folderMount else { return [] }
        let other = layout.mounts.mounts.first {
            $0.type == own.type && $0.source == own.source && $0.root == own.root
                && ($0.major, $0.minor) != (own.major, own.minor)
        }
        guard let other else { return [] }
        return [
            Finding(
                .secondMount,
                .warn,
                "'\(own.source)' is mounted at '\(own.point)' and, as a file system of its own, at "
                    + "'\(other.point)': who opens the database there shares neither memory nor "
                    + "locks with who opens it here",
                remedy: "mount it once, and bind-mount that mount where it is needed"
            )
        ]
    }

    private static func names(_ layout: Layout) -> [Finding] {
        var findings: [Finding] = []
        if layout.isLink {
            findings.append(
                Finding(
                    .symbolicLink,
                    .ok,
                    "'\(layout.given)' is a link to '\(layout.path)'; -wal and -shm lie there, and "
                        + "containers need that folder mounted"
                )
            )
        }
        guard let database = layout.database else {
            findings.append(
                Finding(
                    .missingDatabase,
                    layout.isLink ? .warn : .ok,
                    "'\(layout.path)' does not exist yet"
                        + (layout.isLink ? ": the link points to nothing" : ""),
                    remedy: layout.isLink ? "check the link" : ""
                )
            )
            return findings
        }
        if database.links > 1 {
            findings.append(
                Finding(
                    .hardLinks,
                    .warn,
                    "'\(layout.path)' has \(database.links) names (hard links): a process that "
                        + "opens it by another name uses another -wal",
                    remedy: "remove the other names: find DIR -samefile '\(layout.path)'"
                )
            )
        }
        return findings
    }

    /// Files of one folder have its device. Overlay and btrfs number devices in ways of their own.
    private static func devices(_ layout: Layout) -> [Finding] {
        let exempt = layout.kind.family == .overlay || layout.kind.name == "btrfs"
        guard !exempt, fileMount(layout).isEmpty else { return [] }
        let files = [("", layout.database), ("-wal", layout.wal), ("-shm", layout.shm)]
        for case (let suffix, let status?) in files
        where status.device != layout.folderStatus.device {
            return [
                Finding(
                    .deviceMismatch,
                    .high,
                    "'\(layout.path)\(suffix)' is on another device than its folder: it was "
                        + "mounted there by itself",
                    remedy: "mount the folder that holds the database, not the file"
                )
            ]
        }
        return []
    }
}
