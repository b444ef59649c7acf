import Bytes
import Glibc
package import Platform
import Synchronization

/// Objects as files of a local folder.
///
/// An object appears whole or not at all: it is written under a name that LIST never shows, made
/// durable, and renamed; then the folders that name it are made durable. Staging files that dead
/// processes left behind are ignored. New files are readable by their owner only, because nobody
/// may read in a backup what he cannot read in the database.
package struct FolderStore: ObjectStore {
    /// The folder's absolute path.
    package let root: String
    let executor: ThreadExecutor
    private let folders: DurableFolders

    /// Names that begin so belong to objects that are being written.
    static let stagingPrefix = ".highwater-staging-"

    /// The store in the folder `root`, which the first `put` makes if need be. Blocking calls run
    /// on `executor`.
    package init(root: String, executor: ThreadExecutor) {
        self.root = root
        self.executor = executor
        folders = DurableFolders(root: root)
    }

    /// As the protocol says.
    package func put(
        _ key: ObjectKey,
        body: any ObjectBody,
        ifAbsent: Bool
    ) async throws(StoreError) {
        try check(key, .put)
        let path = path(of: key)
        let folders = folders
        let staged = try await run(.put, key.path) {
            if ifAbsent, try FileSystem.status(path) != nil {
                throw SystemError(EEXIST, call: "stat", path: path)
            }
            return try StagedFile(for: path, folders: folders)
        }
        do {
            try await fill(staged, from: body, for: key)
            try await run(.put, key.path) {
                try staged.publish(exclusively: ifAbsent)
                try FileSystem.synchronizeFolder(FileSystem.folder(of: path))
            }
        } catch {
            try? await executor.run { try staged.discard() }
            throw error
        }
    }

    /// As the protocol says.
    package func get(
        _ key: ObjectKey,
        range: Range<UInt64>?
    ) async throws(StoreError) -> [UInt8] {
        try check(key, .get)
        let path = path(of: key)
        return try await run(.get, key.path) {
            // O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
            let file = try FileDescriptor(path: path, flags: O_RDONLY | O_NONBLOCK)
            let status = try file.status()
            guard status.isRegularFile else {
                throw SystemError(ENOENT, call: "open", path: path)
            }
            let size = UInt64(status.size)
            let lower = min(range?.lowerBound ?? 0, size)
            let count = Int(min(range?.upperBound ?? size, size) - lower)
            return try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]
                )
                initialized = try file.read(into: target, at: Int64(lower))
            }
        }
    }

    /// As the protocol says.
    package func head(_ key: ObjectKey) async throws(StoreError) -> ObjectInfo? {
        try check(key, .head)
        let path = path(of: key)
        return try await run(.head, key.path) {
            guard let status = try FileSystem.status(path), status.isRegularFile else { return nil }
            return ObjectInfo(key: key, status: status)
        }
    }

    /// As the protocol says.
    package func list(
        prefix: String,
        after: String?,
        limit: Int?
    ) async throws(StoreError) -> [ObjectInfo] {
        let root = root
        return try await run(.list, prefix) {
            var listing = FolderListing(root: root, prefix: prefix, after: after, limit: limit)
            return try listing.run()
        }
    }

    /// As the protocol says.
    package func delete(_ keys: [ObjectKey]) async throws(StoreError) {
        for key in keys { try check(key, .delete) }
        let paths = keys.map { path(of: $0) }
        try await run(.delete, keys.first?.path ?? "") {
            for path in paths { try FileSystem.remove(path) }
            for folder in Set(paths.map { FileSystem.folder(of: $0) }) {
                guard try FileSystem.status(folder) != nil else { continue }
                try FileSystem.synchronizeFolder(folder)
            }
        }
    }

    private func path(of key: ObjectKey) -> String { root + "/" + key.path }

    private func check(
        _ key: ObjectKey,
        _ operation: StoreError.Operation
    ) throws(StoreError) {
        let parts = key.path.utf8.split(separator: UInt8(ascii: "/"))
        let prefix = Self.stagingPrefix.utf8
        guard parts.allSatisfy({ !$0.starts(with: prefix) && $0.count <= 255 }) else {
            throw StoreError(
                .invalid,
                operation,
                object: key.path,
                "a part of the name is longer than 255 bytes or begins with \(Self.stagingPrefix)"
            )
        }
    }

    private func fill(
        _ staged: StagedFile,
        from body: any ObjectBody,
        for key: ObjectKey
    ) async throws(StoreError) {
        var body = body
        var offset: Int64 = 0
        while true {
            let chunk: [UInt8]?
            do {
                chunk = try await body.next()
            } catch {
                throw StoreError(
                    .bodyFailed,
                    .put,
                    object: key.path,
                    "the bytes to store could not be read: \(error)"
                )
            }
            guard let chunk else { return }
            let start = offset
            try await run(.put, key.path) { try staged.descriptor.write(chunk, at: start) }
            offset += Int64(chunk.count)
        }
    }

    /// Where a file is in the place of the folder, or of one above it, nothing is known about
    /// objects: that must not be taken for their absence.
    private static func checkRoot(_ root: String, _ operation: StoreError.Operation) throws {
        var path = root
        while path != "/", !path.isEmpty {
            if let status = try FileSystem.status(path) {
                guard !status.isFolder else { return }
                throw StoreError(
                    .unreachable,
                    operation,
                    object: root,
                    "'\(path)' is not a folder; move it away, or name another place"
                )
            }
            path = FileSystem.folder(of: path)
        }
    }

    private func run<T: Sendable>(
        _ operation: StoreError.Operation,
        _ object: String,
        _ body: @Sendable @escaping () throws -> T
    ) async throws(StoreError) -> T {
        let root = root
        do {
            return try await executor.run {
                if operation != .put { try Self.checkRoot(root, operation) }
                return try body()
            }
        } catch let error as StoreError {
            throw error
        } catch let error as SystemError {
            throw StoreError(error, operation, object: object, root: root)
        } catch {
            throw StoreError(.unreachable, operation, object: object, "\(error)")
        }
    }
}

extension FolderStore {
    /// A folder's clock is this machine's.
    package var clockOffset: Int64? { 0 }

    /// A look is one `stat`.
    package var looksCostNothing: Bool { true }
}

extension ObjectInfo {
    init(key: ObjectKey, status: FileStatus) {
        self.init(
            key: key,
            size: UInt64(max(0, status.size)),
            modified: Timestamp(milliseconds: status.modifiedMilliseconds)
        )
    }
}

extension StoreError {
    init(_ error: SystemError, _ operation: Operation, object: String, root: String) {
        let code: Code
        let remedy: String
        switch error.number {
        case ENOENT, ENOTDIR: (code, remedy) = (.notFound, "")
        case EACCES, EPERM:
            (code, remedy) = (.accessDenied, "; run as a user who may use the folder '\(root)'")
        case EROFS: (code, remedy) = (.accessDenied, "; the file system is mounted read-only")
        case EEXIST: (code, remedy) = (.preconditionFailed, "")
        case ENOSPC, EDQUOT, EFBIG:
            (code, remedy) = (.noSpace, "; make room in '\(root)'")
        case ENAMETOOLONG, ELOOP, EISDIR, EINVAL: (code, remedy) = (.invalid, "")
        default: (code, remedy) = (.unreachable, "; check the file system of '\(root)'")
        }
        self.init(code, operation, object: object, error.description + remedy)
    }
}
