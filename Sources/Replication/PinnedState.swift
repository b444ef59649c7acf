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
        try PageHashList(pageCount: pageCount, pageSize: pageSize) { page, buffer in
            try read(page, wal: wal, into: buffer)
        }
    }
}

/// The hashes of all pages of a state.
struct PageHashList {
    /// The low 64 bits of the hash of page n at place n − 1; of the lock page zero.
    private(set) var low: [UInt64] = []
    /// The state's digest.
    private(set) var digest = DatabaseDigest.zero

    /// Hashes `pageCount` pages, each as `read` says.
    init(
        pageCount: UInt32,
        pageSize: PageSize,
        _ read: (PageNumber, UnsafeMutableRawBufferPointer) throws -> Void
    ) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: pageSize.bytes,
            alignment: 16
        )
        defer { buffer.deallocate() }
        low.reserveCapacity(Int(pageCount))
        guard pageCount > 0 else { return }
        for number in 1...pageCount {
            let page = PageNumber(number)
            guard page != pageSize.lockPage else {
                low.append(0)
                continue
            }
            try read(page, buffer)
            let hash = PageHasher.hash(UnsafeRawBufferPointer(buffer), number: page)
            low.append(hash.low)
            digest = digest &+ hash
        }
    }
}
