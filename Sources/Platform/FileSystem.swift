import CLinux
import Glibc

/// Operations on paths. Every one of them may block.
package enum FileSystem {
    /// The file's metadata, links followed, or nil when there is no such file. Other failures,
    /// "permission denied" among them, throw. The C function is `stat`.
    package static func status(_ path: String) throws(SystemError) -> FileStatus? {
        var raw = stat()
        do {
            try retryingInterrupts("stat", path: path) { stat(path, &raw) }
            return FileStatus(raw)
        } catch  where error.number == ENOENT || error.number == ENOTDIR {
            return nil
        }
    }

    /// Renames a file over whatever is there. The C function is `rename`.
    package static func rename(_ from: String, to: String) throws(SystemError) {
        try retryingInterrupts("rename", path: to) { Glibc.rename(from, to) }
    }

    /// Renames a file unless the name is taken (`EEXIST`). The C function is `renameat2`; where the
    /// file system does not know the flag, `link` and `unlink`.
    package static func renameExclusively(_ from: String, to: String) throws(SystemError) {
        do {
            try retryingInterrupts("renameat2", path: to) { hw_rename_exclusive(from, to) }
        } catch  where error.number == EINVAL || error.number == ENOSYS {
            try retryingInterrupts("link", path: to) { link(from, to) }
            try remove(from)
        }
    }

    /// Removes a file; one that is not there is fine. The C function is `unlink`.
    package static func remove(_ path: String) throws(SystemError) {
        do {
            try retryingInterrupts("unlink", path: path) { unlink(path) }
        } catch  where error.number == ENOENT {}
    }

    /// Removes an empty folder. The C function is `rmdir`.
    package static func removeFolder(_ path: String) throws(SystemError) {
        try retryingInterrupts("rmdir", path: path) { rmdir(path) }
    }

    /// Makes a folder; false when it was there already. The C function is `mkdir`.
    @discardableResult
    package static func makeFolder(_ path: String, mode: UInt32 = 0o755) throws(SystemError) -> Bool
    {
        do {
            try retryingInterrupts("mkdir", path: path) { mkdir(path, mode) }
            return true
        } catch  where error.number == EEXIST {
            return false
        }
    }

    /// The names in a folder, without `.` and `..`, in no order. The C function is `readdir`.
    package static func names(in folder: String) throws(SystemError) -> [String] {
        guard let stream = opendir(folder) else { throw SystemError.last("opendir", path: folder) }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw SystemError.last("readdir", path: folder) }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
    }

    /// Makes the names in a folder durable. The C functions are `open` and `fsync`.
    package static func synchronizeFolder(_ path: String) throws(SystemError) {
        let folder = try FileDescriptor(path: path, flags: O_RDONLY | O_DIRECTORY)
        try folder.synchronize()
    }

    /// Bytes that an unprivileged process may still write, and the size of the file system.
    package static func space(at path: String) throws(SystemError) -> (free: UInt64, total: UInt64)
    {
        var free: UInt64 = 0
        var total: UInt64 = 0
        try retryingInterrupts("statvfs", path: path) { hw_free_space(path, &free, &total) }
        return (free, total)
    }

    /// Sets permission bits. The C function is `chmod`.
    package static func setPermissions(_ path: String, _ mode: UInt32) throws(SystemError) {
        try retryingInterrupts("chmod", path: path) { chmod(path, mode) }
    }

    /// Sets owner and group. The C function is `chown`.
    package static func setOwner(_ path: String, owner: UInt32, group: UInt32) throws(SystemError) {
        try retryingInterrupts("chown", path: path) { chown(path, owner, group) }
    }

    /// The absolute path with every link resolved, or nil when it does not exist. The C function
    /// is `realpath`.
    package static func resolve(_ path: String) throws(SystemError) -> String? {
        guard let resolved = realpath(path, nil) else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw SystemError.last("realpath", path: path)
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// True when this process may do what `mode` (`R_OK`, `W_OK`, `X_OK`) asks. The C function is
    /// `access`.
    package static func isAccessible(_ path: String, mode: Int32) -> Bool {
        access(path, mode) == 0
    }

    /// The folder part of a path; `.` when there is none.
    package static func folder(of path: String) -> String {
        // By bytes: after a slash, a combining mark makes another character of it.
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The last part of a path.
    package static func name(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(path[path.utf8.index(after: slash)...])
    }
}
