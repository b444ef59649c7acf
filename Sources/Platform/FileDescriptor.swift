import CLinux
import Glibc

/// An open file, closed when it goes out of scope.
///
/// Never used for a database or its `-shm` while a SQLite connection of this process has it open:
/// closing any descriptor of them drops all of the process's POSIX locks (see SQLiteAccess).
package struct FileDescriptor: ~Copyable, Sendable {
    /// The number, for calls that this type does not wrap. It stays owned by this value.
    package let rawValue: Int32

    /// Takes ownership of `rawValue`.
    package init(owning rawValue: Int32) { self.rawValue = rawValue }

    /// Hands the descriptor to somebody else, who closes it.
    package consuming func relinquish() -> Int32 {
        let number = rawValue
        discard self
        return number
    }

    /// Opens `path` (close-on-exec). The C function is `open`.
    package init(path: String, flags: Int32, mode: UInt32 = 0o644) throws(SystemError) {
        let opened = try retryingInterrupts("open", path: path) { hw_open(path, flags, mode) }
        rawValue = opened
    }

    deinit { Glibc.close(rawValue) }

    /// Reads up to `buffer.count` bytes at `offset` and returns how many there were: fewer only at
    /// the end of the file. The C function is `pread`.
    package func read(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: Int64
    ) throws(SystemError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try retryingInterrupts("pread") {
                pread(
                    rawValue,
                    buffer.baseAddress! + done,
                    buffer.count - done,
                    off_t(offset) + done
                )
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Writes all of `buffer` at `offset`. The C function is `pwrite`.
    package func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(SystemError) {
        var done = 0
        while done < buffer.count {
            done += try retryingInterrupts("pwrite") {
                pwrite(
                    rawValue,
                    buffer.baseAddress! + done,
                    buffer.count - done,
                    off_t(offset) + done
                )
            }
        }
    }

    /// Writes all of `bytes` at `offset`. The C function is `pwrite`.
    package func write(_ bytes: [UInt8], at offset: Int64) throws(SystemError) {
        var failure: SystemError?
        bytes.withUnsafeBytes { buffer in
            do throws(SystemError) {
                try write(buffer, at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// Makes content and size durable. The C function is `fdatasync`.
    package func synchronizeData() throws(SystemError) {
        try retryingInterrupts("fdatasync") { fdatasync(rawValue) }
    }

    /// Makes content and all metadata durable. The C function is `fsync`.
    package func synchronize() throws(SystemError) {
        try retryingInterrupts("fsync") { fsync(rawValue) }
    }

    /// Cuts or extends the file. The C function is `ftruncate`.
    package func truncate(to size: Int64) throws(SystemError) {
        try retryingInterrupts("ftruncate") { ftruncate(rawValue, off_t(size)) }
    }

    /// Reserves disk space, so that a full disk shows now and not in the middle of a write. File
    /// systems that cannot reserve leave the file sparse. The C function is `fallocate`.
    package func reserve(_ size: Int64) throws(SystemError) {
        guard size > 0 else { return }
        do {
            try retryingInterrupts("fallocate") { hw_fallocate(rawValue, 0, size) }
        } catch  where error.number == EOPNOTSUPP || error.number == ENOSYS {
            try truncate(to: size)
        }
    }

    /// The file's metadata. The C function is `fstat`.
    package func status() throws(SystemError) -> FileStatus {
        var raw = stat()
        try retryingInterrupts("fstat") { fstat(rawValue, &raw) }
        return FileStatus(raw)
    }

    /// Takes an exclusive `flock` without waiting; false when somebody else has it.
    package func lockExclusively() throws(SystemError) -> Bool {
        do {
            try retryingInterrupts("flock") { hw_flock_exclusive(rawValue) }
            return true
        } catch  where error.number == EWOULDBLOCK {
            return false
        }
    }
}

/// What `stat` says of a file.
package struct FileStatus: Sendable, Hashable {
    /// Device and inode: the file's identity.
    package let device: UInt64
    package let inode: UInt64
    /// Size in bytes.
    package let size: Int64
    /// Permission bits, without the file type.
    package let permissions: UInt32
    /// Owner and group.
    package let owner: UInt32
    package let group: UInt32
    /// Number of names (hard links).
    package let links: UInt64
    /// Last modification, ms since the epoch.
    package let modifiedMilliseconds: Int64
    package let isFolder: Bool
    package let isRegularFile: Bool
    package let isSymbolicLink: Bool
    private let type: UInt32

    /// What the file is, in a word.
    package var typeName: String {
        switch mode_t(type) {
        case S_IFREG: "file"
        case S_IFDIR: "folder"
        case S_IFLNK: "symbolic link"
        case S_IFIFO: "FIFO"
        case S_IFSOCK: "socket"
        case S_IFCHR, S_IFBLK: "device"
        default: "special file"
        }
    }

    init(_ raw: stat) {
        device = UInt64(raw.st_dev)
        inode = UInt64(raw.st_ino)
        size = Int64(raw.st_size)
        permissions = UInt32(raw.st_mode) & 0o7777
        owner = raw.st_uid
        group = raw.st_gid
        links = UInt64(raw.st_nlink)
        modifiedMilliseconds =
            Int64(raw.st_mtim.tv_sec) * 1000 + Int64(raw.st_mtim.tv_nsec) / 1_000_000
        isFolder = raw.st_mode & S_IFMT == S_IFDIR
        isRegularFile = raw.st_mode & S_IFMT == S_IFREG
        isSymbolicLink = raw.st_mode & S_IFMT == S_IFLNK
        type = UInt32(raw.st_mode & S_IFMT)
    }
}
