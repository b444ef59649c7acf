import Bytes
import Glibc
import PageHashing
import Platform
import Synchronization

/// The database being rebuilt, in a temporary file that is removed unless it is published.
final class OutputFile: Sendable {
    let path: String
    let pageSize: PageSize
    private let file: FileDescriptor
    private let isPublished = Atomic(false)

    /// What comes between the output's name and a random number.
    private static let infix = ".restoring-"

    /// An empty file beside `output`, which only its owner can read. As `isScratch` it is never
    /// published, and is locked, so that others can tell whether its process still lives.
    init(beside output: String, pageSize: PageSize, isScratch: Bool = false) throws(SystemError) {
        let random = Hex.string(Chance.bits(), digits: 16)
        let path = "\(output)\(Self.infix)\(random)"
        file = try FileDescriptor(path: path, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        if isScratch { _ = try? file.lockExclusively() }
        self.path = path
        self.pageSize = pageSize
    }

    /// Removes scratch files beside `output` whose processes were killed.
    static func removeAbandoned(beside output: String) {
        let folder = FileSystem.folder(of: output)
        let prefix = FileSystem.name(of: output) + infix
        for name in (try? FileSystem.names(in: folder)) ?? [] where name.hasPrefix(prefix) {
            let path = "\(folder)/\(name)"
            do throws(SystemError) {
                let flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK
                let file = try FileDescriptor(path: path, flags: flags)
                if try file.status().isRegularFile, try file.lockExclusively() {
                    try FileSystem.remove(path)
                }
            } catch {
                // It is somebody else's, or gone.
                continue
            }
        }
    }

    deinit { if !isPublished.load(ordering: .relaxed) { try? FileSystem.remove(path) } }

    /// The file's descriptor, for calls that this type does not wrap.
    var descriptor: Int32 { file.rawValue }

    func reserve(pages: UInt32) throws(SystemError) {
        try file.reserve(Int64(pages) * Int64(pageSize.bytes))
    }

    /// Reads a page; beyond the file's end there are zeros.
    func read(_ page: PageNumber, into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) {
        let count = try file.read(into: buffer, at: pageSize.offset(of: page))
        for index in count..<buffer.count { buffer[index] = 0 }
    }

    /// Writes a page, or pages that follow one another.
    func write(_ page: PageNumber, _ content: UnsafeRawBufferPointer) throws(SystemError) {
        try file.write(content, at: pageSize.offset(of: page))
    }

    func resize(to pageCount: UInt32) throws(SystemError) {
        try file.truncate(to: Int64(pageCount) * Int64(pageSize.bytes))
    }

    /// The file's length.
    func byteCount() throws(SystemError) -> UInt64 { UInt64(try file.status().size) }

    /// Takes over the content of the file at `path`, sharing its blocks where the file system can.
    func copy(from path: String) throws(SystemError) {
        let source = try FileDescriptor(path: path, flags: O_RDONLY)
        try FileSystem.copyContent(of: source, to: file)
    }

    /// Makes the lock page zero, as it counts everywhere.
    func clearLockPage(pageCount: UInt32) throws(SystemError) {
        guard pageCount >= pageSize.lockPage.rawValue else { return }
        let zero = UnsafeMutableRawBufferPointer.allocate(
            byteCount: pageSize.bytes,
            alignment: 16
        )
        defer { zero.deallocate() }
        zero.initializeMemory(as: UInt8.self, repeating: 0)
        try write(pageSize.lockPage, UnsafeRawBufferPointer(zero))
    }

    /// The digest of what is really in the file, from reading all of it.
    func digest(
        pageCount: UInt32,
        width: Int,
        on executor: ThreadExecutor,
        progress: RestoreProgress
    ) async throws -> DatabaseDigest {
        try await hashes(
            pageCount: pageCount,
            width: width,
            on: executor,
            progress: progress,
            keepsEach: false
        ).digest
    }

    /// The low hashes of all pages, and their digest, from reading the file.
    func hashes(
        pageCount: UInt32,
        width: Int,
        on executor: ThreadExecutor,
        progress: RestoreProgress,
        keepsEach: Bool = true
    ) async throws -> (low: [UInt64], digest: DatabaseDigest) {
        let step = UInt32(max(1, Self.readBytes / pageSize.bytes))
        var starts: [UInt32] = []
        var (low, sum) = ([UInt64](), DatabaseDigest.zero)
        for start in stride(from: 1, through: UInt64(pageCount), by: Int(step)) {
            starts.append(UInt32(start))
        }
        try await OrderedTasks.run(starts, width: width, on: executor) { first in
            try Task.checkCancellation()
            let count = min(step, pageCount - first + 1)
            let part = try self.hashes(from: first, count: count)
            progress.advance(UInt64(count) * UInt64(self.pageSize.bytes))
            return part
        } consume: { part in
            for hash in part { sum = sum &+ hash }
            if keepsEach { low += part.map(\.low) }
            return true
        }
        return (low, sum)
    }

    private static let readBytes = 1 << 20

    /// The hashes of pages that follow one another; the lock page's is zero.
    private func hashes(from first: UInt32, count: UInt32) throws(SystemError) -> [PageHash] {
        let size = pageSize.bytes
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Int(count) * size,
            alignment: 64
        )
        defer { buffer.deallocate() }
        try read(PageNumber(first), into: buffer)
        var hashes: [PageHash] = []
        hashes.reserveCapacity(Int(count))
        for index in 0..<Int(count) {
            let page = PageNumber(first + UInt32(index))
            let content = UnsafeRawBufferPointer(
                rebasing: buffer[index * size..<(index + 1) * size]
            )
            let isLock = page == pageSize.lockPage
            hashes.append(isLock ? .zero : PageHasher.hash(content, number: page))
        }
        return hashes
    }

    /// Makes the file durable and puts it in the place of `output`.
    func publish(
        as output: String,
        replacing: Bool,
        mode: UInt32,
        owner: (UInt32, UInt32)?
    ) throws(SystemError) {
        if let owner { try FileSystem.setOwner(path, owner: owner.0, group: owner.1) }
        try FileSystem.setPermissions(path, mode)
        try file.synchronize()
        guard replacing else {
            // An application may have made a database there meanwhile: that one stays.
            try FileSystem.renameExclusively(path, to: output)
            isPublished.store(true, ordering: .relaxed)
            return try FileSystem.synchronizeFolder(FileSystem.folder(of: output))
        }
        // A stale journal or WAL would be applied to the new file at its first opening: they go
        // before the new file appears, and for good.
        var removed = false
        for suffix in Restorer.sidecars where try FileSystem.status(output + suffix) != nil {
            try FileSystem.remove(output + suffix)
            removed = true
        }
        if removed { try FileSystem.synchronizeFolder(FileSystem.folder(of: output)) }
        try FileSystem.rename(path, to: output)
        isPublished.store(true, ordering: .relaxed)
        try FileSystem.synchronizeFolder(FileSystem.folder(of: output))
    }
}
