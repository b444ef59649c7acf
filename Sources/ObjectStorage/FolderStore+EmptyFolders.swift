import Platform

extension FolderStore {
    /// Removes these folders, deepest first, where they are empty. A folder that a `put` may be
    /// about to use must not be among them.
    package func removeEmptyFolders(_ folders: [String]) async {
        let paths = folders.map { root + "/" + $0 }
        _ = try? await executor.run {
            for path in paths { try? FileSystem.removeFolder(path) }
        }
    }
}
