import Bytes
import Glibc
import Maintenance
import Platform
import SegmentFormat

/// A log segment being written: the encoder, where its output waits, and what changes by it.
final class SegmentBatch {
    private let encoder: LogSegmentEncoder
    private var output: SegmentOutput
    /// The pages that change, for levels; nil when none are wanted.
    private(set) var changes: ChangedPages?

    /// The encoder's own buffers are emptied beyond this.
    private static let drainBytes = 1024 * 1024

    init(
        header: SegmentHeader,
        spoolFolder: String,
        collectsChanges: Bool = false
    ) throws(SegmentError) {
        encoder = try LogSegmentEncoder(header: header)
        output = SegmentOutput(spoolFolder: spoolFolder)
        if collectsChanges {
            changes = ChangedPages(
                start: ChangedPages.State(
                    txid: header.minTXID.previous,
                    digest: header.digestBefore,
                    pageCount: header.pageCountBefore
                )
            )
        }
    }

    /// Commits in the segment.
    var commitCount: UInt64 { encoder.commitCount }

    /// Bytes of page content, before compression.
    var rawContentByteCount: UInt64 { encoder.rawContentByteCount }

    func append(page: PageEntry, content: UnsafeRawBufferPointer?) throws {
        changes?.add(page)
        try encoder.append(page: page, content: content)
        if encoder.bufferedByteCount > Self.drainBytes * 3 {
            try output.append(encoder.takeOutput())
        }
    }

    func endCommit(_ record: CommitRecord) throws {
        changes?.end(record)
        try encoder.endCommit(record)
    }

    /// Ends the segment and hands over its bytes.
    func finish(position: WALPosition) throws -> (FinishedSegment, SegmentBytes) {
        let finished = try encoder.finish(position: position)
        try output.append(encoder.takeOutput())
        return (finished, output.bytes)
    }
}

/// Where the bytes of a segment wait that is being written: beyond a few MiB in an unnamed file in
/// the spool folder, so that memory does not grow with it.
struct SegmentOutput {
    private let spoolFolder: String
    private var memory: [UInt8] = []
    private var file: SpoolFile?

    /// Bytes that may wait in memory.
    static let memoryBytesMax = 4 * 1024 * 1024

    init(spoolFolder: String) { self.spoolFolder = spoolFolder }

    /// Bytes so far.
    var byteCount: UInt64 { file.map { UInt64($0.byteCount) } ?? UInt64(memory.count) }

    /// What there is.
    var bytes: SegmentBytes { file.map { .file($0) } ?? .memory(memory) }

    mutating func append(_ output: [UInt8]) throws {
        if let file { return try file.append(output) }
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

    /// Bytes of the segment.
    var byteCount: Int64 {
        switch self {
        case .memory(let bytes): Int64(bytes.count)
        case .file(let file): file.byteCount
        }
    }
}

/// A file in the spool folder. A temporary one is removed when the last owner lets go of it.
final class SpoolFile: Sendable {
    let path: String
    /// Open while it is written; a file of the spool is opened to be read, since there may be many.
    private let descriptor: FileDescriptor?
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
        descriptor = nil
        isTemporary = false
        size = try FileDescriptor(path: path, flags: O_RDONLY).status().size
    }

    deinit { if isTemporary { try? FileSystem.remove(path) } }

    var byteCount: Int64 { size }

    func append(_ bytes: [UInt8]) throws(SystemError) {
        try descriptor?.write(bytes, at: size)
        size += Int64(bytes.count)
    }

    func read(at offset: Int64, count: Int) throws(SystemError) -> [UInt8] {
        guard descriptor != nil else {
            let file = try FileDescriptor(path: path, flags: O_RDONLY)
            return try Self.read(file, at: offset, count: count)
        }
        return try Self.read(descriptor!, at: offset, count: count)
    }

    private static func read(
        _ file: borrowing FileDescriptor,
        at offset: Int64,
        count: Int
    ) throws(SystemError) -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        defer { buffer.deallocate() }
        let length = try file.read(into: buffer, at: offset)
        return Array(buffer[..<length])
    }

    func synchronize() throws(SystemError) { try descriptor?.synchronizeData() }
}
