import Bytes
import Glibc
import PageHashing
import Platform

/// The database being rebuilt, in a temporary file that is removed unless it is published.
final class OutputFile {
    let path: String
    private let file: FileDescriptor
    private let pageSize: PageSize
    private var isPublished = false

    init(beside output: String, pageSize: PageSize) throws(SystemError) {
        let random = Hex.string(Chance.bits(), digits: 16)
        path = "\(output).restoring-\(random)"
        file = try FileDescriptor(path: path, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        self.pageSize = pageSize
    }

    deinit { if !isPublished { try? FileSystem.remove(path) } }

    func reserve(pages: UInt32) throws(SystemError) {
        try file.reserve(Int64(pages) * Int64(pageSize.bytes))
    }

    func read(_ page: PageNumber, into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) {
        let count = try file.read(into: buffer, at: pageSize.offset(of: page))
        for index in count..<buffer.count { buffer[index] = 0 }
    }

    func write(_ page: PageNumber, _ content: UnsafeRawBufferPointer) throws(SystemError) {
        try file.write(content, at: pageSize.offset(of: page))
    }

    func resize(to pageCount: UInt32) throws(SystemError) {
        try file.truncate(to: Int64(pageCount) * Int64(pageSize.bytes))
    }

    /// The digest of what is really in the file.
    func digest(pageCount: UInt32) throws(SystemError) -> DatabaseDigest {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: pageSize.bytes,
            alignment: 16
        )
        defer { buffer.deallocate() }
        var digest = DatabaseDigest.zero
        guard pageCount > 0 else { return digest }
        for number in 1...pageCount {
            let page = PageNumber(number)
            guard page != pageSize.lockPage else { continue }
            try read(page, into: buffer)
            digest = digest &+ PageHasher.hash(UnsafeRawBufferPointer(buffer), number: page)
        }
        return digest
    }

    /// Makes the file durable and puts it in the place of `output`.
    func publish(as output: String, mode: UInt32, owner: (UInt32, UInt32)?) throws(SystemError) {
        try FileSystem.setPermissions(path, mode)
        if let owner { try FileSystem.setOwner(path, owner: owner.0, group: owner.1) }
        try file.synchronize()
        // A stale journal or WAL would be applied to the new file at its first opening.
        for suffix in Restorer.sidecars { try FileSystem.remove(output + suffix) }
        try FileSystem.rename(path, to: output)
        isPublished = true
        try FileSystem.synchronizeFolder(FileSystem.folder(of: output))
    }
}
