import CLinux
import Glibc

extension FileSystem {
    /// Makes `target` hold what `source` holds, sharing blocks where the file system can. The C
    /// functions are `ioctl(FICLONE)` and `copy_file_range`; where neither works, `pread` and
    /// `pwrite`.
    package static func copyContent(
        of source: borrowing FileDescriptor,
        to target: borrowing FileDescriptor
    ) throws(SystemError) {
        if hw_clone_file(source.rawValue, target.rawValue) == 0 { return }
        let size = try source.status().size
        var offset: Int64 = 0
        while offset < size {
            let count = hw_copy_range(
                source.rawValue,
                target.rawValue,
                offset,
                min(size - offset, copyBytes)
            )
            if count > 0 {
                offset += count
                continue
            }
            if count < 0, errno == EINTR { continue }
            // Across file systems, or where the kernel cannot: by hand.
            try copyByHand(of: source, to: target, from: offset, size: size)
            break
        }
        try target.truncate(to: size)
    }

    private static let copyBytes: Int64 = 64 << 20

    private static func copyByHand(
        of source: borrowing FileDescriptor,
        to target: borrowing FileDescriptor,
        from start: Int64,
        size: Int64
    ) throws(SystemError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        var offset = start
        while offset < size {
            let count = try source.read(into: buffer, at: offset)
            guard count > 0 else { return }
            try target.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
            offset += Int64(count)
        }
    }
}
