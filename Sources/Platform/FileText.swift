import Glibc

extension FileSystem {
    /// The bytes of a small file, or nil when it does not exist. The C functions are `open` and
    /// `pread`.
    ///
    /// - Throws: `EFBIG` when there are more than `limit`.
    package static func contents(_ path: String, limit: Int) throws(SystemError) -> [UInt8]? {
        guard let status = try status(path) else { return nil }
        guard status.size <= limit else { throw SystemError(EFBIG, call: "read", path: path) }
        let file = try FileDescriptor(path: path, flags: O_RDONLY | O_NONBLOCK)
        // The size of files in /proc and of pipes is not known beforehand.
        let room = max(Int(status.size), 64 * 1024)
        var bytes = [UInt8](repeating: 0, count: min(room, limit) + 1)
        var failure: SystemError?
        var count = 0
        bytes.withUnsafeMutableBytes { buffer in
            do throws(SystemError) {
                count = try file.read(into: buffer, at: 0)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        guard count <= limit else { throw SystemError(EFBIG, call: "read", path: path) }
        return Array(bytes.prefix(count))
    }
}
