package import Bytes
import CSQLite
import Glibc
import Platform
import WALFormat

/// One state of a database, held by a read transaction and read page by page, exactly as it is.
///
/// Other processes may go on writing meanwhile. One thread uses it at a time.
package final class ReadSnapshot {
    /// Pages in the state.
    package let pageCount: UInt32
    /// Bytes per page.
    package let pageSize: PageSize

    private let connection: Connection
    private let index: WALIndex
    private let wal: FileDescriptor?
    private let header: WALIndexHeader?

    /// Attempts to begin while a writer commits without a pause.
    private static let attempts = 2000

    /// Holds the state as it is now.
    ///
    /// - Throws: `SQLITE_BUSY` when writers never pause for a moment.
    package init(path: String) throws {
        connection = try Connection(path: path, role: .pin)
        try connection.beginRead()
        guard let size = PageSize(Int(try connection.integer("PRAGMA page_size"))) else {
            throw SQLiteError(code: SQLITE_NOTADB, message: "impossible page size", database: path)
        }
        pageSize = size
        index = try WALIndex(connection)
        var held: WALIndexHeader?
        var isHeld = false
        for _ in 0..<Self.attempts {
            // The transaction sees exactly this header when nothing was committed while it began.
            let before = index.header()
            try connection.rollback()
            try connection.beginRead()
            let after = index.header()
            if before == after {
                held = after
                isHeld = true
                break
            }
        }
        guard isHeld else {
            throw SQLiteError(
                code: SQLITE_BUSY,
                message: "writers never paused long enough to read one state",
                database: path
            )
        }
        header = held
        if let held, held.mxFrame > 0, held.pageCount > 0 {
            pageCount = held.pageCount
            wal = try FileDescriptor(path: path + "-wal", flags: O_RDONLY)
        } else {
            pageCount = UInt32(clamping: try index.fileSize() / Int64(size.bytes))
            wal = nil
        }
    }

    /// Reads a page as it is in the state.
    package func read(
        _ page: PageNumber,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        // A WAL that was reset shows that the transaction reads the database file alone.
        if let header, wal != nil, index.header()?.salts == header.salts,
            let frame = index.newestFrame(of: page, atOrBelow: header.mxFrame)
        {
            try readFrame(frame, into: buffer)
            if index.header()?.salts == header.salts { return }
        }
        try index.readPage(page, size: pageSize, into: buffer)
    }

    private func readFrame(
        _ frame: FrameIndex,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        let offset = FrameHeader.offset(of: frame, pageSize: pageSize) + Int64(FrameHeader.size)
        let count: Int
        switch wal {
        case .some(let file): count = try file.read(into: buffer, at: offset)
        case .none: count = 0
        }
        guard count == buffer.count else {
            throw SQLiteError(
                code: SQLITE_CORRUPT,
                message: "the WAL ends before frame \(frame)",
                database: connection.path
            )
        }
    }
}
