import CLinux

extension FileSystem {
    /// When the file was made, in nanoseconds since the epoch; nil where nobody knows. Together
    /// with the inode it is a file's identity for longer than the file lives: numbers of inodes are
    /// given out again, on ext4 at once. The C function is `statx`.
    package static func birth(of path: String) -> Int64? {
        let time = hw_birth_time(path)
        return time > 0 ? time : nil
    }
}
