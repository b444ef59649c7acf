import Bytes
import Glibc
import Platform
import Synchronization

/// A file that is being written beside its final name.
final class StagedFile: Sendable {
    /// The open file.
    let descriptor: FileDescriptor
    private let stagingPath: String
    private let finalPath: String

    /// An empty file in the folder of `finalPath`, which is made durable first if need be.
    init(for finalPath: String, folders: DurableFolders) throws(SystemError) {
        let folder = FileSystem.folder(of: finalPath)
        let stagingPath =
            folder + "/" + FolderStore.stagingPrefix
            + Hex.string(UInt64.random(in: 0 ... .max), digits: 16)
        let flags = O_WRONLY | O_CREAT | O_EXCL
        try folders.prepare(folder)
        if try FileSystem.status(folder) == nil {
            // Somebody has removed the folder since it was last used.
            try folders.prepare(folder, again: true)
        }
        descriptor = try FileDescriptor(path: stagingPath, flags: flags, mode: 0o600)
        self.stagingPath = stagingPath
        self.finalPath = finalPath
    }

    /// Makes the content durable and gives the file its name.
    func publish(exclusively: Bool) throws(SystemError) {
        try descriptor.synchronize()
        if exclusively {
            try FileSystem.renameExclusively(stagingPath, to: finalPath)
        } else {
            try FileSystem.rename(stagingPath, to: finalPath)
        }
    }

    /// Removes the file, unless it has its name already.
    func discard() throws(SystemError) { try FileSystem.remove(stagingPath) }
}

/// The folders whose own names are known to be durable.
final class DurableFolders: Sendable {
    private let root: String
    private let known = Mutex<Set<String>>([])

    init(root: String) { self.root = root }

    /// Makes `folder`, which is the root or lies in it, and its missing parents, and makes their
    /// names durable. A folder that another process has made may not be durable yet, so that the
    /// first use of each folder by this process pays for that once.
    func prepare(_ folder: String, again: Bool = false) throws(SystemError) {
        if again { known.withLock { $0.removeAll() } }
        if known.withLock({ $0.contains(folder) }) { return }
        let parent = FileSystem.folder(of: folder)
        let isInside = folder.utf8.count > root.utf8.count
        if isInside {
            try prepare(parent)
        } else if try FileSystem.status(folder) == nil {
            if parent != folder { try prepareOutside(parent) }
        }
        let isNew = try FileSystem.makeFolder(folder, mode: 0o700)
        if isNew || isInside { try FileSystem.synchronizeFolder(parent) }
        _ = known.withLock { $0.insert(folder) }
    }

    /// Makes a folder above the root and its missing parents.
    private func prepareOutside(_ folder: String) throws(SystemError) {
        if try FileSystem.status(folder) != nil { return }
        let parent = FileSystem.folder(of: folder)
        if parent != folder { try prepareOutside(parent) }
        if try FileSystem.makeFolder(folder, mode: 0o700) {
            try FileSystem.synchronizeFolder(parent)
        }
    }
}
