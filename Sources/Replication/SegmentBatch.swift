import Bytes
import Glibc
import Platform
import SegmentFormat

/// A log segment being written: the encoder, and where its output waits. Output beyond a few MiB
/// goes to an unnamed file in the spool folder, so that memory does not grow with a transaction.
final class SegmentBatch {
    private let encoder: LogSegmentEncoder
    private let spoolFolder: String
    private var memory: [UInt8] = []
    private var file: SpoolFile?

    /// Encoded bytes that may wait in memory.
    private static let memoryBytesMax = 4 * 1024 * 1024
    /// The encoder's own buffers are emptied beyond this.
    private static let drainBytes = 1024 * 1024

    init(header: SegmentHeader, spoolFolder: String) throws(SegmentError) {
        encoder = try LogSegmentEncoder(header: header)
        self.spoolFolder = spoolFolder
    }

    /// Commits in the segment.
    var commitCount: UInt64 { encoder.commitCount }

    /// Bytes of page content, before compression.
    var rawContentByteCount: UInt64 { encoder.rawContentByteCount }

    func append(page: PageEntry, content: UnsafeRawBufferPointer?) throws {
        try encoder.append(page: page, content: content)
        if encoder.bufferedByteCount > Self.drainBytes * 3 { try drain() }
    }

    func endCommit(_ record: CommitRecord) throws { try encoder.endCommit(record) }

    /// Ends the segment and hands over its bytes.
    func finish(position: WALPosition) throws -> (FinishedSegment, SegmentBytes) {
        let finished = try encoder.finish(position: position)
        try drain()
        if let file { return (finished, .file(file)) }
        return (finished, .memory(memory))
    }

    private func drain() throws {
        let output = encoder.takeOutput()
        if let file {
            try file.append(output)
            return
        }
        memory.append(contentsOf: output)
        if memory.count > Self.memoryBytesMax {
            let file = try SpoolFile(temporaryIn: spoolFolder)
            try file.append(memory)
            memory = []
            self.file = file
        }
    }
}

/// A sealed segment's bytes.
enum SegmentBytes: Sendable {
    case memory([UInt8])
    case file(SpoolFile)

    /// Bytes that are held in memory.
    var memoryByteCount: Int {
        if case .memory(let bytes) = self { return bytes.count }
        return 0
    }
}

/// A file in the spool folder. A temporary one is removed when the last owner lets go of it.
final class SpoolFile: Sendable {
    let path: String
    private let descriptor: FileDescriptor
    private let isTemporary: Bool
    // Sendable: written by one thread before it is shared, read-only afterwards.
    nonisolated(unsafe) private var size: Int64 = 0

    init(temporaryIn folder: String) throws(SystemError) {
        try FileSystem.makeFolder(folder, mode: 0o700)
        let random = Chance.bits()
        path = "\(folder)/segment-\(Hex.string(random, digits: 16)).tmp"
        descriptor = try FileDescriptor(path: path, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        isTemporary = true
    }

    /// A segment that is in the spool already.
    init(existing path: String) throws(SystemError) {
        self.path = path
        descriptor = try FileDescriptor(path: path, flags: O_RDONLY)
        isTemporary = false
        size = try descriptor.status().size
    }

    deinit { if isTemporary { try? FileSystem.remove(path) } }

    var byteCount: Int64 { size }

    func append(_ bytes: [UInt8]) throws(SystemError) {
        try descriptor.write(bytes, at: size)
        size += Int64(bytes.count)
    }

    func read(at offset: Int64, count: Int) throws(SystemError) -> [UInt8] {
        var failure: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(SystemError) {
                initialized = try descriptor.read(
                    into: UnsafeMutableRawBufferPointer(buffer),
                    at: offset
                )
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    func synchronize() throws(SystemError) { try descriptor.synchronizeData() }
}
