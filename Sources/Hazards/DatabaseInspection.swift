package import Bytes
import Glibc
package import Platform
import SQLiteAccess
import WALFormat

/// The database's files, read with plain reads, and the locks on them, asked for and not taken.
///
/// It opens and closes the database and its `-shm`, which drops the locks that the process holds on
/// them. So it is for a process without a connection, such as the doctor's, and never for one that
/// replicates (DESIGN §4.5). Other processes are not affected.
package struct DatabaseInspection: Sendable {
    /// What the first 100 bytes say (sqlite.org/fileformat.html §1.3).
    package struct Header: Sendable, Hashable {
        /// The page size; nil when it is none that SQLite allows.
        package var pageSize: PageSize?
        /// WAL mode, auto_vacuum, and of which kind.
        package var isWAL = false
        package var isAutoVacuum = false
        package var isIncremental = false
        /// The SQLite that wrote last.
        package var writer: SQLiteVersion?
    }

    /// A reader that holds a mark in the WAL.
    package struct Reader: Sendable, Hashable {
        /// The mark: the last frame that it reads.
        package var frame: FrameIndex
        /// Its process; 0 in another pid namespace.
        package var process: Int32
    }

    /// Nil when the file is no SQLite database, or encrypted.
    package var header: Header?
    /// The WAL and WAL-index; nil when nobody has the database open, for what an application left
    /// when it died is put in order by the next one that opens it.
    package var index: IndexSample?
    /// Bytes of the WAL.
    package var walBytes: Int64 = 0
    /// Readers below the WAL's end.
    package var readers: [Reader] = []
    /// Who holds the lock that every connection has; nil when nobody does.
    package var opener: FileDescriptor.RecordHolder?
    /// A connection holds the database exclusively.
    package var isExclusive = false
    /// Tables that Litestream left.
    package var litestreamTables: [String] = []
    /// The folder that Litestream keeps.
    package var litestreamFolder: String?

    /// Reads what there is.
    package static func read(_ layout: Layout) throws(SystemError) -> DatabaseInspection {
        var result = DatabaseInspection()
        guard let database = layout.database, database.size > 0 else { return result }
        result.header = try readHeader(layout.path)
        guard result.header != nil else { return result }
        do {
            let file = try FileDescriptor(path: layout.path, flags: O_RDONLY)
            let holder = try file.recordHolder(start: 0x4000_0002, length: 510)
            result.isExclusive = holder?.lock == .exclusive
        }
        result.walBytes = layout.wal?.size ?? 0
        try result.readIndex(layout)
        result.litestreamTables =
            SchemaGlance.tables(of: layout.path, withPrefix: "_litestream") ?? []
        let folder = "\(layout.folder)/.\(FileSystem.name(of: layout.path))-litestream"
        if try FileSystem.status(folder) != nil { result.litestreamFolder = folder }
        return result
    }

    private static func readHeader(_ path: String) throws(SystemError) -> Header? {
        guard let bytes = try read(path, at: 0, count: 100),
            bytes[0..<16].elementsEqual(Array("SQLite format 3\0".utf8))
        else { return nil }
        func word(_ offset: Int) -> UInt32 {
            bytes[offset..<(offset + 4)].reduce(0) { $0 << 8 | UInt32($1) }
        }
        var header = Header()
        let stored = Int(bytes[16]) << 8 | Int(bytes[17])
        header.pageSize = PageSize(stored == 1 ? 65536 : stored)
        header.isWAL = bytes[18] == 2 && bytes[19] == 2
        header.isAutoVacuum = word(52) != 0
        header.isIncremental = word(64) != 0
        header.writer = SQLiteVersion(number: word(96))
        return header
    }

    private mutating func readIndex(_ layout: Layout) throws(SystemError) {
        guard let shm = layout.shm, shm.size >= 136 else { return }
        let path = layout.path + "-shm"
        let file = try FileDescriptor(path: path, flags: O_RDONLY)
        opener = try file.recordHolder(start: 128, length: 1)
        guard opener != nil else { return }
        guard let before = try Self.bytes(of: file, count: 136) else { return }
        var sample = IndexSample(header: Self.header(in: before), isStable: false)
        sample.checkpoint = Self.checkpoint(in: before)
        if let header = sample.header, header.mxFrame > 0, let pageSize = header.pageSize {
            let wal = layout.path + "-wal"
            if let bytes = try Self.read(wal, at: 0, count: WALHeader.size) {
                sample.walSalts = bytes.withUnsafeBytes { try? WALHeader($0) }?.salts
            }
            let offset = FrameHeader.offset(of: header.mxFrame, pageSize: pageSize)
            if let bytes = try Self.read(wal, at: offset, count: FrameHeader.size) {
                sample.lastFrame = bytes.withUnsafeBytes { FrameHeader($0) }
            }
            sample.databaseBytes = try FileSystem.status(layout.path)?.size
            try readReaders(file, before, header)
        }
        sample.sharedMemory = IndexSample.SharedMemoryFile(inode: shm.inode, bytes: shm.size)
        let after = try Self.bytes(of: file, count: 136)
        sample.isStable = after.map { Array($0[..<104]) == Array(before[..<104]) } ?? false
        index = sample
    }

    private mutating func readReaders(
        _ file: borrowing FileDescriptor,
        _ bytes: [UInt8],
        _ header: WALIndexHeader
    ) throws(SystemError) {
        for slot in 1...4 {
            // wal.c `WalCkptInfo.aReadMark`, after nBackfill at byte 96.
            let mark = bytes.withUnsafeBytes {
                $0.loadUnaligned(fromByteOffset: 100 + slot * 4, as: UInt32.self)
            }
            guard mark < header.mxFrame,
                let holder = try file.recordHolder(start: Int64(123 + slot), length: 1)
            else { continue }
            readers.append(Reader(frame: mark, process: holder.process))
        }
    }

    private static func header(in bytes: [UInt8]) -> WALIndexHeader? {
        bytes.withUnsafeBytes {
            WALIndexHeader(copies: UnsafeRawBufferPointer(rebasing: $0[..<96]))
        }
    }

    private static func checkpoint(in bytes: [UInt8]) -> CheckpointInfo {
        bytes.withUnsafeBytes {
            CheckpointInfo(UnsafeRawBufferPointer(rebasing: $0[CheckpointInfo.offset...]))
        }
    }

    /// Exactly `count` bytes, or nil when the file is shorter or not there.
    private static func read(
        _ path: String,
        at offset: Int64,
        count: Int
    ) throws(SystemError) -> [UInt8]? {
        guard try FileSystem.status(path) != nil else { return nil }
        let file = try FileDescriptor(path: path, flags: O_RDONLY)
        return try bytes(of: file, at: offset, count: count)
    }

    private static func bytes(
        of file: borrowing FileDescriptor,
        at offset: Int64 = 0,
        count: Int
    ) throws(SystemError) -> [UInt8]? {
        var content = [UInt8](repeating: 0, count: count)
        var failure: SystemError?
        let read = content.withUnsafeMutableBytes { buffer -> Int in
            do throws(SystemError) { return try file.read(into: buffer, at: offset) } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return read == count ? content : nil
    }
}
