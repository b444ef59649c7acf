import Glibc
package import Platform
import Synchronization

/// Which database files this process has open, and the only way to look at one by path.
///
/// Closing any descriptor of a file drops all POSIX locks that the process holds on it, those of
/// other connections, too (sqlite.org/howtocorrupt.html §2.2, fcntl(2)). So a descriptor that is
/// opened for a look while connections exist is kept until the last of them is closed.
package enum OpenDatabases {
    /// A file, whatever its names are.
    struct Key: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    private struct Entry {
        var connections = 0
        var kept: Int32?
    }

    private static let entries = Mutex<[Key: Entry]>([:])

    /// A connection is about to be opened. Nil when there is no such file yet.
    static func opening(_ path: String) -> Key? {
        entries.withLock { entries in
            guard let key = key(path) else { return nil }
            entries[key, default: Entry()].connections += 1
            return key
        }
    }

    /// A connection was closed. The last one takes the descriptor with it that was kept.
    static func closed(_ key: Key?) {
        guard let key else { return }
        entries.withLock { entries in
            guard var entry = entries[key] else { return }
            entry.connections -= 1
            if entry.connections == 0, let kept = entry.kept { close(kept) }
            entries[key] = entry.connections > 0 ? entry : nil
        }
    }

    /// The first bytes of a database file, read by its path without harm to any lock of this
    /// process; fewer than `count` when the file is shorter. The C functions are `open` and
    /// `pread`.
    package static func firstBytes(
        of path: String,
        count: Int
    ) throws(SystemError) -> [UInt8] {
        // The lock is held until the descriptor is closed or kept: no connection begins between.
        let result = entries.withLock { entries -> Result<[UInt8], SystemError> in
            do throws(SystemError) {
                if let key = key(path), let kept = entries[key]?.kept {
                    return .success(try read(kept, count))
                }
                let file = Glibc.open(path, O_RDONLY | O_CLOEXEC)
                guard file >= 0 else { throw SystemError.last("open", path: path) }
                var raw = stat()
                fstat(file, &raw)
                // What was opened counts: the name may have come to mean another file meanwhile.
                let key = Key(device: UInt64(raw.st_dev), inode: UInt64(raw.st_ino))
                if entries[key] != nil {
                    entries[key]?.kept = file
                    return .success(try read(file, count))
                }
                defer { close(file) }
                return .success(try read(file, count))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private static func read(_ file: Int32, _ count: Int) throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = pread(file, &bytes, count, 0)
        guard got >= 0 else { throw SystemError.last("pread") }
        return Array(bytes.prefix(got))
    }

    private static func key(_ path: String) -> Key? {
        guard let status = try? FileSystem.status(path) else { return nil }
        return Key(device: status.device, inode: status.inode)
    }
}
