import CLinux
import Glibc

/// Looks that open nothing of what they look at.
extension FileSystem {
    /// The metadata of a name itself, links not followed; nil when there is none. The C function
    /// is `lstat`.
    package static func statusOfName(_ path: String) throws(SystemError) -> FileStatus? {
        var raw = stat()
        do {
            try retryingInterrupts("lstat", path: path) { lstat(path, &raw) }
            return FileStatus(raw)
        } catch  where error.number == ENOENT || error.number == ENOTDIR {
            return nil
        }
    }

    /// What a symbolic link says. The C function is `readlink`.
    package static func linkTarget(_ path: String) throws(SystemError) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = try retryingInterrupts("readlink", path: path) {
            buffer.withUnsafeMutableBytes { readlink(path, $0.baseAddress!, $0.count) }
        }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    /// The magic number of the file system at a path. The C function is `statfs`.
    package static func typeNumber(at path: String) throws(SystemError) -> UInt32 {
        let number = try retryingInterrupts("statfs", path: path) { hw_file_system_type(path) }
        return UInt32(truncatingIfNeeded: number)
    }

    /// The text of a file of unknown size, as those of `/proc` are; at most `limit` bytes.
    package static func text(of path: String, limit: Int) throws(SystemError) -> String {
        let file = try FileDescriptor(path: path, flags: O_RDONLY)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(limit, 64 * 1024))
        while bytes.count < limit {
            let room = min(chunk.count, limit - bytes.count)
            let count = try retryingInterrupts("read", path: path) {
                chunk.withUnsafeMutableBytes { Glibc.read(file.rawValue, $0.baseAddress!, room) }
            }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The process's working folder. The C function is `getcwd`.
    package static func workingFolder() throws(SystemError) -> String {
        guard let raw = getcwd(nil, 0) else { throw SystemError.last("getcwd") }
        defer { free(raw) }
        return String(cString: raw)
    }

    /// Files that this process may have open.
    package static var descriptorLimit: UInt64 { hw_descriptor_limit() }
}
