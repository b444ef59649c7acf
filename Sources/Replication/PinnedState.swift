import Bytes
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

    /// The state at a place that a follower has copied up to, while its older pin stands there.
    init(index: WALIndex, position: WALPosition, pageSize: PageSize, pageCount: UInt32) {
        self.index = index
        self.pageSize = pageSize
        frame = position.frame
        salts = position.salts
        self.pageCount = pageCount
    }

    /// Reads one page.
    func read(
        _ page: PageNumber,
        wal: WALFile,
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

    /// The hashes of all pages and the state's digest, from reading every page.
    func hashes(wal: WALFile) throws -> PageHashList {
        try PageHashList(pageCount: pageCount, pageSize: pageSize) { first, buffer in
            try index.readPages(from: first, size: pageSize, into: buffer)
            try takeFrames(from: first, wal: wal, into: buffer)
        }
    }

    /// Puts the pages that frames up to ours have in the place of what the file has of them. No
    /// checkpoint copies later frames into the file while the pin is held.
    private func takeFrames(
        from first: PageNumber,
        wal: WALFile,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        guard frame > 0, index.header()?.salts == salts else { return }
        for place in 0..<(buffer.count / pageSize.bytes) {
            let page = PageNumber(first.rawValue + UInt32(place))
            guard let newest = index.newestFrame(of: page, atOrBelow: frame) else { continue }
            let start = place * pageSize.bytes
            try wal.readPage(
                of: newest,
                into: UnsafeMutableRawBufferPointer(
                    rebasing: buffer[start..<(start + pageSize.bytes)]
                )
            )
            // A WAL that was reset shows that the pin rests on lock 0: the file is the state then.
            guard index.header()?.salts == salts else {
                return try index.readPages(from: first, size: pageSize, into: buffer)
            }
        }
    }
}
