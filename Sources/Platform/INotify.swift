import Glibc

/// File events from the kernel. Watches may be added by any thread, events are read by one at a
/// time.
package struct INotify: ~Copyable, Sendable {
    /// Readable while events are waiting.
    package let descriptor: FileDescriptor

    /// One event.
    package struct Event: Sendable {
        /// The watch that it belongs to.
        package let watch: Int32
        /// `IN_MODIFY`, `IN_CREATE`, …; `IN_Q_OVERFLOW` when events were lost.
        package let mask: UInt32
        /// The file's name, when the watch is on a folder.
        package let name: String
    }

    /// An instance without watches. The C function is `inotify_init1`.
    package init() throws(SystemError) {
        let number = try retryingInterrupts("inotify_init1") {
            inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        }
        descriptor = FileDescriptor(owning: number)
    }

    /// Watches a file or folder; nil when it does not exist. The C function is `inotify_add_watch`.
    package func watch(_ path: String, for mask: UInt32) throws(SystemError) -> Int32? {
        do {
            return try retryingInterrupts("inotify_add_watch", path: path) {
                inotify_add_watch(descriptor.rawValue, path, mask)
            }
        } catch  where error.number == ENOENT {
            return nil
        }
    }

    /// Ends a watch. The C function is `inotify_rm_watch`.
    package func unwatch(_ watch: Int32) { _ = inotify_rm_watch(descriptor.rawValue, watch) }

    /// Hands over every event that is waiting; never blocks. The C function is `read`.
    package func drain(_ body: (Event) -> Void) throws(SystemError) {
        try withUnsafeTemporaryAllocation(byteCount: 16 * 1024, alignment: 8) {
            buffer throws(SystemError) in
            while true {
                let count = Glibc.read(descriptor.rawValue, buffer.baseAddress!, buffer.count)
                if count <= 0 {
                    if count == 0 || errno == EAGAIN || errno == EINTR { return }
                    throw SystemError.last("read")
                }
                var offset = 0
                let header = MemoryLayout<inotify_event>.size
                while offset + header <= count {
                    let raw = buffer.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
                    let name =
                        raw.len == 0
                        ? ""
                        : String(
                            cString: (buffer.baseAddress! + offset + header)
                                .assumingMemoryBound(to: CChar.self)
                        )
                    body(Event(watch: raw.wd, mask: raw.mask, name: name))
                    offset += header + Int(raw.len)
                }
                // Room was left for the longest event: there was no other one.
                if count + header + Int(NAME_MAX) + 1 <= buffer.count { return }
            }
        }
    }
}
