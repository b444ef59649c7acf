import Glibc
import Platform

/// Walks a folder and its folders in key order.
struct FolderListing {
    private let root: String
    private let prefix: String
    private let after: String?
    private let limit: Int
    private var found: [ObjectInfo] = []

    private struct Identity: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    init(root: String, prefix: String, after: String?, limit: Int?) {
        self.root = root
        self.prefix = prefix
        self.after = after
        self.limit = limit ?? .max
    }

    /// The objects found.
    mutating func run() throws -> [ObjectInfo] {
        var start = ""
        if let slash = prefix.utf8.lastIndex(of: UInt8(ascii: "/")) {
            let folder = String(prefix[..<slash])
            start = try ObjectKey(checking: folder, for: .list).path + "/"
        }
        try walk(start, inside: [])
        return found
    }

    /// Lists the folder whose keys begin with `folder`, empty or with a slash at its end.
    private mutating func walk(_ folder: String, inside ancestors: [Identity]) throws {
        let path = folder.isEmpty ? root : root + "/" + folder
        guard let status = try FileSystem.status(path) else { return }
        guard status.isFolder else { return }
        // A link may lead back to a folder that is being listed.
        let identity = Identity(device: status.device, inode: status.inode)
        guard !ancestors.contains(identity) else { return }
        for (name, isFolder) in try sortedNames(folder, path: path) {
            guard found.count < limit else { return }
            let text = folder + name
            if isFolder {
                try walk(text, inside: ancestors + [identity])
            } else if let key = ObjectKey(text),
                let status = try FileSystem.status(root + "/" + text),
                status.isRegularFile
            {
                found.append(ObjectInfo(key: key, status: status))
            }
        }
    }

    /// The names in a folder that may matter, folders with a slash at their end, in key order.
    private func sortedNames(_ folder: String, path: String) throws -> [(String, Bool)] {
        var names: [(String, Bool)] = []
        for entry in try entries(of: path) where !entry.name.hasPrefix(FolderStore.stagingPrefix) {
            var isFolder = entry.kind == .folder
            if entry.kind == .special { continue }
            if entry.kind == .unknown {
                isFolder = try FileSystem.status(path + "/" + entry.name)?.isFolder ?? false
            }
            let name = isFolder ? entry.name + "/" : entry.name
            if mayMatter(folder + name, isFolder: isFolder) { names.append((name, isFolder)) }
        }
        return names.sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
    }

    /// The folder's entries; none when it has just been removed.
    private func entries(of path: String) throws(SystemError) -> [FolderEntry] {
        do {
            return try FileSystem.entries(of: path)
        } catch  where error.number == ENOENT {
            return []
        }
    }

    private func mayMatter(_ text: String, isFolder: Bool) -> Bool {
        let inPrefix = text.utf8.starts(with: prefix.utf8)
        guard inPrefix || (isFolder && prefix.utf8.starts(with: text.utf8)) else { return false }
        guard let after else { return true }
        return after.utf8.lexicographicallyPrecedes(text.utf8)
            || (isFolder && after.utf8.starts(with: text.utf8))
    }
}
