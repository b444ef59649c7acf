import Glibc

/// A name in a folder, with what the folder itself says of its type.
package struct FolderEntry: Sendable {
    /// What a name stands for.
    package enum Kind: Sendable {
        case file
        case folder
        /// A link, or a file system that does not say: ask `stat`.
        case unknown
        /// A socket, a device or a pipe.
        case special
    }

    /// The name, without the folder.
    package let name: String
    /// What it stands for.
    package let kind: Kind
}

extension FileSystem {
    /// The entries of a folder, without `.` and `..`, in no order. The C function is `readdir`.
    package static func entries(of folder: String) throws(SystemError) -> [FolderEntry] {
        guard let stream = opendir(folder) else { throw SystemError.last("opendir", path: folder) }
        defer { closedir(stream) }
        var entries: [FolderEntry] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw SystemError.last("readdir", path: folder) }
                return entries
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            let kind: FolderEntry.Kind =
                switch Int(entry.pointee.d_type) {
                case Int(DT_REG): .file
                case Int(DT_DIR): .folder
                case Int(DT_LNK), Int(DT_UNKNOWN): .unknown
                default: .special
                }
            entries.append(FolderEntry(name: name, kind: kind))
        }
    }
}
