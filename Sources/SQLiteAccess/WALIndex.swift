package import Bytes
import CSQLite
package import WALFormat

/// Looks into the WAL-index and the database file through SQLite's own handle and mapping.
///
/// Valid as long as the connection that it was made from. Nothing here takes a lock: what may be
/// read when is decided by who holds the pins.
package struct WALIndex {
    private let connection: Connection
    private let file: UnsafeMutablePointer<sqlite3_file>

    /// The view of a connection that has read at least once.
    package init(_ connection: Connection) throws(SQLiteError) {
        guard let file = hw_database_file(connection.raw) else {
            throw SQLiteError(
                code: SQLITE_CANTOPEN,
                message: "SQLite gives no file handle",
                database: connection.path
            )
        }
        self.connection = connection
        self.file = file
    }

    /// The header, or nil when there is none or writers kept changing it for a while.
    package func header() -> WALIndexHeader? {
        for _ in 0..<200 {
            guard let memory = hw_shm_region(file, 0) else { return nil }
            let header = withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 24) { words in
                hw_copy_index_headers(memory, words.baseAddress!)
                return WALIndexHeader(copies: UnsafeRawBufferPointer(words))
            }
            if let header { return header }
            usleepBriefly()
        }
        return nil
    }

    /// How far checkpoints have come, or nil when there is no WAL-index.
    package func checkpointInfo() -> CheckpointInfo? {
        guard let memory = hw_shm_region(file, 0) else { return nil }
        return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 9) { words in
            hw_fence()
            hw_copy_words(memory + CheckpointInfo.offset, words.baseAddress!, 9)
            hw_fence()
            return CheckpointInfo(UnsafeRawBufferPointer(words))
        }
    }

    /// True while some other connection runs a checkpoint: it holds the CKPT lock, maybe waiting
    /// for us. The lock is tried and given back at once; nothing is waited for.
    package func isCheckpointRunning() -> Bool { hw_checkpoint_is_running(file) != 0 }

    /// The newest frame of a page at or below `limit`, frames already backfilled included; nil when
    /// the WAL has none (wal.c `walFindFrame`, without its lower bound).
    package func newestFrame(of page: PageNumber, atOrBelow limit: FrameIndex) -> FrameIndex? {
        guard limit > 0 else { return nil }
        var region = limit <= 4062 ? 0 : Int32((limit - 4062 - 1) / 4096) + 1
        while region >= 0 {
            let first: UInt32 = region == 0 ? 0 : 4062 + UInt32(region - 1) * 4096
            if let memory = hw_shm_region(file, region) {
                let frame = hw_newest_frame(
                    memory,
                    region == 0 ? 1 : 0,
                    page.rawValue,
                    first,
                    limit
                )
                if frame > 0 { return frame }
            }
            region -= 1
        }
        return nil
    }

    /// Reads a page of the database file; beyond its end there are zeros. The C function
    /// is `xRead`.
    package func readPage(
        _ page: PageNumber,
        size: PageSize,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(SQLiteError) {
        precondition(buffer.count == size.bytes, "a page has the page size")
        try readPages(from: page, size: size, into: buffer)
    }

    /// Reads as many pages of the database file as fit into the buffer, from one on; beyond the
    /// file's end there are zeros. The C function is `xRead`.
    package func readPages(
        from page: PageNumber,
        size: PageSize,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(SQLiteError) {
        precondition(buffer.count % size.bytes == 0, "pages have the page size")
        let code = hw_file_read(
            file,
            buffer.baseAddress,
            Int32(buffer.count),
            size.offset(of: page)
        )
        // A short read has filled the rest with zeros (sqlite.org/c3ref/io_methods.html).
        let shortRead: Int32 = SQLITE_IOERR | (2 << 8)
        if code != SQLITE_OK, code != shortRead { throw connection.failure(code) }
    }

    /// The database file's size in bytes. The C function is `xFileSize`.
    package func fileSize() throws(SQLiteError) -> Int64 {
        var size: Int64 = 0
        let code = hw_file_size(file, &size)
        if code != SQLITE_OK { throw connection.failure(code) }
        return size
    }

    /// Lets what checkpoints wrote into the database file reach the disk. The C function is
    /// `xSync`.
    package func synchronizeFile() throws(SQLiteError) {
        let code = hw_file_sync(file)
        if code != SQLITE_OK { throw connection.failure(code) }
    }

    private func usleepBriefly() { sqlite3_sleep(1) }
}
