package import Platform

/// One line of `/proc/self/mountinfo` (man 5 proc_pid_mountinfo):
///
///     36 35 98:0 /root /mount/point opts [tags…] - fstype source superopts
package struct Mount: Sendable, Hashable {
    /// The mount's number, and its parent's.
    package let id: UInt32
    package let parent: UInt32
    /// The device of the superblock. btrfs and overlay report other numbers in `st_dev`.
    package let major: UInt32
    package let minor: UInt32
    /// What of the file system is mounted; shows where a bind mount comes from.
    package let root: String
    /// Where it is mounted.
    package let point: String
    /// Options of this mount.
    package let options: [String]
    /// The file system's type, as in `ext4` or `fuse.sshfs`.
    package let type: String
    /// The device or share.
    package let source: String
    /// Options of the superblock.
    package let superOptions: [String]

    /// Decodes a line; nil when it is none.
    package init?(line: Substring) {
        let fields = line.split(separator: " ", omittingEmptySubsequences: false)
        guard let dash = fields.dropFirst(6).firstIndex(of: "-"), dash + 2 < fields.count,
            let id = UInt32(fields[0]), let parent = UInt32(fields[1])
        else { return nil }
        let device = fields[2].split(separator: ":")
        guard device.count == 2, let major = UInt32(device[0]), let minor = UInt32(device[1])
        else { return nil }
        self.id = id
        self.parent = parent
        self.major = major
        self.minor = minor
        root = Self.unescaped(fields[3])
        point = Self.unescaped(fields[4])
        options = Self.list(fields[5])
        type = Self.unescaped(fields[dash + 1])
        source = Self.unescaped(fields[dash + 2])
        superOptions = dash + 3 < fields.count ? Self.list(fields[dash + 3]) : []
    }

    /// True when the mount or its superblock has this option.
    package func has(_ option: String) -> Bool {
        options.contains(option) || superOptions.contains(option)
    }

    /// The value of `name=value` among the superblock's options.
    package func value(_ name: String) -> String? {
        superOptions.lazy.first { $0.hasPrefix(name + "=") }
            .map { String($0.dropFirst(name.count + 1)) }
    }

    private static func list(_ field: Substring) -> [String] {
        field.split(separator: ",").map { unescaped($0) }
    }

    /// Undoes the kernel's escapes: `\040` blank, `\011` tab, `\012` newline, `\134` backslash,
    /// and any other three octal digits.
    static func unescaped(_ text: Substring) -> String {
        guard text.utf8.contains(UInt8(ascii: "\\")) else { return String(text) }
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var i = 0
        while i < bytes.count {
            if bytes[i] == UInt8(ascii: "\\"), i + 3 < bytes.count,
                bytes[(i + 1)...(i + 3)].allSatisfy({ (48...55).contains($0) }),
                let value = UInt8(
                    String(decoding: bytes[(i + 1)...(i + 3)], as: UTF8.self),
                    radix: 8
                )
            {
                result.append(value)
                i += 4
            } else {
                result.append(bytes[i])
                i += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// The mounts that a process sees.
package struct MountTable: Sendable {
    /// In the kernel's order: what is mounted later comes later.
    package let mounts: [Mount]

    /// Parses the text of a `mountinfo` file; lines that are none are left out.
    package init(parsing text: String) {
        mounts = text.split(separator: "\n").compactMap { Mount(line: $0) }
    }

    /// The mounts of this process.
    package static func current() throws(SystemError) -> MountTable {
        let path = "/proc/self/mountinfo"
        return MountTable(parsing: try FileSystem.text(of: path, limit: Limits.mountInfoBytes))
    }

    /// The mount that an absolute path without links lies in: the walk that the kernel makes.
    ///
    /// From the root down, each name may be a mount point of the mount that was reached so far, and
    /// what is stacked on it in turn. The longest mount point alone would be wrong where a mount
    /// higher up hides another one.
    package func mount(of path: String) -> Mount? {
        let ids = Set(mounts.map(\.id))
        guard
            let root = mounts.first(where: {
                $0.point == "/" && (!ids.contains($0.parent) || $0.parent == $0.id)
            })
        else { return longestPrefix(of: path) }
        var current = root
        for prefix in Self.prefixes(of: path) {
            var seen: Set<UInt32> = [current.id]
            while let next = mounts.last(where: {
                $0.parent == current.id && $0.point == prefix && !seen.contains($0.id)
            }) {
                current = next
                seen.insert(next.id)
            }
        }
        return current
    }

    /// Tables without a root (some sandboxes): the longest mount point; the last of equal ones.
    private func longestPrefix(of path: String) -> Mount? {
        let prefixes = Set(Self.prefixes(of: path))
        var best: Mount?
        for mount in mounts where prefixes.contains(mount.point) {
            if mount.point.utf8.count >= best?.point.utf8.count ?? 0 { best = mount }
        }
        return best
    }

    /// `/`, `/a`, `/a/b` for `/a/b`.
    private static func prefixes(of path: String) -> [String] {
        var result = ["/"]
        var prefix = ""
        for part in path.split(separator: "/") {
            prefix += "/" + part
            result.append(prefix)
        }
        return result
    }
}
