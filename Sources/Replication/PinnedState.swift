import Bytes
import PageHashing
import SQLiteAccess
import WALFormat

/// The whole database as of one place in the WAL, page by page. Valid while a pin at that place is
/// held (DESIGN §4.0).
struct PinnedState {
    let index: WALIndex
    let pageSize: PageSize
    /// Frames after this one do not belong to the state.
    let frame: FrameIndex
    /// The life of the WAL that those frames are in.
    let salts: WALSalts
    /// Pages in the state.
    let pageCount: UInt32

    /// The state at a header's last frame.
    init(index: WALIndex, header: WALIndexHeader, pageSize: PageSize) throws(SQLiteError) {
        self.index = index
        self.pageSize = pageSize
        frame = header.mxFrame
        salts = header.salts
        // An empty WAL-index after recovery knows no page count; then the file is the state.
        pageCount =
            header.mxFrame > 0 && header.pageCount > 0
            ? header.pageCount
            : UInt32(clamping: try index.fileSize() / Int64(pageSize.bytes))
    }

    /// Reads one page.
    func read(
        _ page: PageNumber,
        wal: inout WALFile,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        // A WAL that was reset shows that the pin rests on lock 0: the file is the state then.
        if index.header()?.salts == salts,
            let frame = index.newestFrame(of: page, atOrBelow: frame)
        {
            try wal.readPage(of: frame, into: buffer)
            if index.header()?.salts == salts { return }
        }
        try index.readPage(page, size: pageSize, into: buffer)
    }

    /// The state's digest, from reading every page.
    func digest(wal: inout WALFile) throws -> DatabaseDigest {
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
            try read(page, wal: &wal, into: buffer)
            digest = digest &+ PageHasher.hash(UnsafeRawBufferPointer(buffer), number: page)
        }
        return digest
    }
}
