import Glibc
package import Platform

/// Finds out whether a live process uses a database file.
package enum TargetGuard {
    /// Who uses the database at `path`, in words; nil when nobody is seen to.
    ///
    /// Looks at the POSIX locks of the file and its `-shm` (any process of this kernel that has
    /// the database open in WAL mode holds some), and at the open files of the processes that this
    /// user may look into. Never call it while this process has the database open: closing
    /// a descriptor drops a process's locks.
    package static func user(of path: String) throws(SystemError) -> String? {
        for suffix in ["", "-shm"] {
            guard try FileSystem.status(path + suffix) != nil else { continue }
            if let pid = try lockHolder(of: path + suffix) {
                return "process \(pid)\(commandName(pid)) has it locked"
            }
        }
        guard let status = try FileSystem.status(path) else { return nil }
        return opener(of: status).map { "process \($0)\(commandName($0)) has it open" }
    }

    /// A process that holds a lock on any byte of the file. The C function is `fcntl(F_GETLK)`.
    private static func lockHolder(of path: String) throws(SystemError) -> Int32? {
        do {
            let file = try FileDescriptor(path: path, flags: O_RDWR)
            var lock = flock()
            lock.l_type = Int16(F_WRLCK)
            lock.l_whence = Int16(SEEK_SET)
            lock.l_start = 0
            lock.l_len = 0
            try retryingInterrupts("fcntl", path: path) { fcntl(file.rawValue, F_GETLK, &lock) }
            return lock.l_type == Int16(F_UNLCK) ? nil : lock.l_pid
        } catch  where error.number == EACCES || error.number == EROFS {
            return nil
        }
    }

    private static func opener(of wanted: FileStatus) -> Int32? {
        let own = getpid()
        for name in (try? FileSystem.names(in: "/proc")) ?? [] {
            guard let pid = Int32(name), pid != own else { continue }
            for number in (try? FileSystem.names(in: "/proc/\(pid)/fd")) ?? [] {
                guard let status = try? FileSystem.status("/proc/\(pid)/fd/\(number)") else {
                    continue
                }
                if status.device == wanted.device, status.inode == wanted.inode { return pid }
            }
        }
        return nil
    }

    private static func commandName(_ pid: Int32) -> String {
        guard let file = try? FileDescriptor(path: "/proc/\(pid)/comm", flags: O_RDONLY) else {
            return ""
        }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = bytes.withUnsafeMutableBytes { (try? file.read(into: $0, at: 0)) ?? 0 }
        let text = String(decoding: bytes[..<count].filter { $0 >= 0x20 }, as: UTF8.self)
        return text.isEmpty ? "" : " (\(text))"
    }
}
