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
        descriptor = try folders.inside(folder) { () throws(SystemError) in
            try FileDescriptor(path: stagingPath, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        }
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

    /// What `body` makes of the folder once it is there. Where somebody has removed it, or one
    /// above it, since it was last used, it is made again.
    func inside<T: ~Copyable>(
        _ folder: String,
        _ body: () throws(SystemError) -> T
    ) throws(SystemError) -> T {
        do {
            try prepare(folder)
            return try body()
        } catch  where error.number == ENOENT {
            known.withLock { $0.removeAll() }
            try prepare(folder)
            return try body()
        }
    }

    /// Makes `folder`, which is the root or lies in it, and its missing parents, and makes their
    /// names durable. A folder that another process has made may not be durable yet, so that the
    /// first use of each folder by this process pays for that once.
    private func prepare(_ folder: String) throws(SystemError) {
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
