import Platform

/// One line of `/proc/locks`:
///
///     1: POSIX  ADVISORY  READ 12937 fe:00:16246876 123 127
///
/// Only locks of processes in this pid namespace (and those below it) are listed.
package struct LockLine: Sendable, Hashable {
    /// True for a POSIX lock, which is what SQLite takes.
    package let isPOSIX: Bool
    /// True for an exclusive lock.
    package let isExclusive: Bool
    /// The holder; -1 for a lock that belongs to an open file.
    package let process: Int32
    /// The file: its superblock's device, and inode.
    package let major: UInt32
    package let minor: UInt32
    package let inode: UInt64
    /// The bytes; the last one is inclusive.
    package let start: UInt64
    package let end: UInt64

    /// Decodes a line; nil for one that is none, or that says who is waiting.
    package init?(line: Substring) {
        let fields = line.split(separator: " ")
        guard fields.count == 8, fields[0].hasSuffix(":"), let process = Int32(fields[4]) else {
            return nil
        }
        let file = fields[5].split(separator: ":")
        guard file.count == 3, let major = UInt32(file[0], radix: 16),
            let minor = UInt32(file[1], radix: 16), let inode = UInt64(file[2]),
            let start = UInt64(fields[6]),
            let end = fields[7] == "EOF" ? UInt64.max : UInt64(fields[7])
        else { return nil }
        isPOSIX = fields[1] == "POSIX"
        isExclusive = fields[3] == "WRITE"
        self.process = process
        self.major = major
        self.minor = minor
        self.inode = inode
        self.start = start
        self.end = end
    }

    /// The names of SQLite's locks in this range of a `-shm` file (wal.c, os_unix.c).
    package var sharedMemoryNames: [String] {
        let names = [
            "WRITE", "CKPT", "RECOVER", "READ0", "READ1", "READ2", "READ3", "READ4", "DMS",
        ]
        return names.indices.filter { start <= 120 + UInt64($0) && 120 + UInt64($0) <= end }
            .map { names[$0] }
    }

    /// The names of SQLite's locks in this range of a database (os_unix.c `PENDING_BYTE`).
    package var databaseNames: [String] {
        var names: [String] = []
        if start <= 0x4000_0000, end >= 0x4000_0000 { names.append("PENDING") }
        if start <= 0x4000_0001, end >= 0x4000_0001 { names.append("RESERVED") }
        if start <= 0x4000_0002, end >= 0x4000_01FF {
            names.append(isExclusive ? "EXCLUSIVE" : "SHARED")
        }
        return names
    }
}

/// The locks that this process can see.
package struct LockTable: Sendable {
    /// Every lock that is held.
    package let lines: [LockLine]

    /// Parses the text of `/proc/locks`.
    package init(parsing text: String) {
        lines = text.split(separator: "\n").compactMap { LockLine(line: $0) }
    }

    /// The kernel's table as it is now; empty where it cannot be read.
    package static func current() -> LockTable {
        let text = try? FileSystem.text(of: "/proc/locks", limit: Limits.lockTableBytes)
        return LockTable(parsing: text ?? "")
    }

    /// The POSIX locks on one file. The device is not compared: overlay and btrfs give `stat`
    /// another one than the superblock's, and a wrong match needs an equal inode and lock bytes.
    func locks(inode: UInt64) -> [LockLine] { lines.filter { $0.isPOSIX && $0.inode == inode } }
}
