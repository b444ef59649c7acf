import CLinux
import Glibc

/// POSIX byte-range locks, as SQLite uses them. They belong to the process and the file: closing
/// *any* descriptor of the file drops all of them. So these are for files of our own only, and for
/// looks at the locks of others by a process that has no SQLite connection.
extension FileDescriptor {
    /// What to do to a range of bytes.
    package enum RecordLock: Int32, Sendable {
        case none = 0
        case shared = 1
        case exclusive = 2
    }

    /// Who holds a range.
    package struct RecordHolder: Hashable, Sendable {
        /// How it is held.
        package let lock: RecordLock
        /// The holder's process; 0 when it lives in another pid namespace, -1 for OFD locks.
        package let process: Int32
    }

    /// Locks or unlocks a range without waiting; false when somebody else is in the way. The C
    /// function is `fcntl(F_SETLK)`.
    package func setRecordLock(
        _ lock: RecordLock,
        start: Int64,
        length: Int64
    ) throws(SystemError) -> Bool {
        do {
            try retryingInterrupts("fcntl") {
                hw_lock_range(rawValue, lock.rawValue, start, length)
            }
            return true
        } catch  where error.number == EAGAIN || error.number == EACCES {
            return false
        }
    }

    /// Somebody else's lock in a range, or nil. The C function is `fcntl(F_GETLK)`.
    package func recordHolder(start: Int64, length: Int64) throws(SystemError) -> RecordHolder? {
        var process: Int32 = 0
        let kind = try retryingInterrupts("fcntl") {
            hw_lock_holder(rawValue, start, length, &process)
        }
        guard kind > 0, let lock = RecordLock(rawValue: kind) else { return nil }
        return RecordHolder(lock: lock, process: process)
    }
}
