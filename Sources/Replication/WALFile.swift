import Bytes
import Glibc
import Platform
import SQLiteAccess
import WALFormat

/// Reads and verifies frames of one database's `-wal` file. The file carries no locks, so that it
/// may be opened and closed freely.
final class WALFile {
    /// Where a commit ends.
    struct CommitBoundary {
        /// The commit frame; of repeated ones the last.
        var frame: FrameIndex
        /// Pages in the database after the commit.
        var pageCount: UInt32
        /// The running checksum of `frame`: of an unchecked frame, that of the last checked one.
        var checksum: WALChecksum
        /// Whether some of the commit's frames have neither salts nor checksum.
        var isUnchecked: Bool
    }

    private let file: FileDescriptor
    let path: String
    private let pageSize: PageSize
    private let frameSize: Int
    /// Frames that were read in one go, for those who want their pages soon after.
    private var slab: [UInt8] = []
    private var slabFirst: FrameIndex = 1
    private var slabCount: UInt32 = 0
    /// The last frame that was verified.
    private var verified: FrameIndex = 0

    /// Bytes of frames that are kept in memory.
    private static let slabBytesMax = 512 * 1024
    /// Bytes that a database may keep from round to round.
    private static let slabBytesKept = 32 * 1024

    init(path: String, pageSize: PageSize) throws(SystemError) {
        file = try FileDescriptor(path: path, flags: O_RDONLY)
        self.path = path
        self.pageSize = pageSize
        frameSize = FrameHeader.size + pageSize.bytes
    }

    /// Forgets what is kept in memory: the WAL began anew, or nothing was committed for a while.
    func releaseSlab() {
        slab = []
        slabCount = 0
        verified = 0
    }

    /// Forgets what is kept in memory if that is much: of thousands of databases few are read at a
    /// time.
    func releaseLargeSlab() {
        guard slab.count > Self.slabBytesKept else { return }
        slab = []
        slabCount = 0
    }

    /// The file's identity.
    func status() throws(SystemError) -> FileStatus { try file.status() }

    /// The header, or nil when the file is empty.
    func header() throws -> WALHeader? {
        try withUnsafeTemporaryAllocation(byteCount: WALHeader.size, alignment: 8) { buffer in
            let count = try file.read(into: buffer, at: 0)
            if count == 0 { return nil }
            return try WALHeader(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    /// A frame's header, or nil when the file ends before it.
    func frameHeader(_ frame: FrameIndex) throws(SystemError) -> FrameHeader? {
        var bytes = (UInt64(0), UInt64(0), UInt64(0))
        var failure: SystemError?
        let header = withUnsafeMutableBytes(of: &bytes) { buffer -> FrameHeader? in
            do throws(SystemError) {
                let offset = FrameHeader.offset(of: frame, pageSize: pageSize)
                guard try file.read(into: buffer, at: offset) == FrameHeader.size else {
                    return nil
                }
                return FrameHeader(UnsafeRawBufferPointer(buffer))
            } catch {
                failure = error
                return nil
            }
        }
        if let failure { throw failure }
        return header
    }

    /// Whether `position` is a place in the WAL that `header` describes.
    func holds(_ position: WALPosition?, _ header: WALIndexHeader) throws(SystemError) -> Bool {
        guard let position, position.salts == header.salts, position.frame <= header.mxFrame else {
            return false
        }
        // Before the first frame only the salts tell. While they are the same, nothing but what
        // the WAL holds was committed since; a WAL that nobody has written to has none.
        if position.frame == 0 { return position.salts != WALSalts(salt1: 0, salt2: 0) }
        guard let frame = try frameHeader(position.frame) else { return false }
        return frame.salts == position.salts && frame.checksum == position.checksum
    }

    /// Whether frames follow `position` that belong to the same life of the WAL: a commit that is
    /// being written or whose header is not published yet.
    func hasFrames(after header: WALIndexHeader) throws -> Bool {
        guard let next = try frameHeader(header.mxFrame + 1) else { return false }
        if next.salts == header.salts { return true }
        if next.isUnchecked, next.page.rawValue > 0 { return true }
        // The first writer after a reset may have drawn salts that only the file knows yet.
        guard header.mxFrame == 0, let walHeader = try? self.header() else { return false }
        return next.salts == walHeader.salts
    }

    /// Reads the frames after `position` up to `last`, verifies the chain of checksums and salts,
    /// and returns where commits end; `expected` is how many there are, if that is known.
    func verify(
        after position: WALPosition,
        through last: FrameIndex,
        bigEndian: Bool,
        expected: UInt32? = nil
    ) throws -> [CommitBoundary] {
        var sum = position.checksum
        if position.frame == 0 {
            guard let header = try header(), header.salts == position.salts else {
                throw WALError(.salts, offset: 16)
            }
            sum = header.checksum
        }
        var chain = ChecksumChain(salts: position.salts, sum: sum, bigEndian: bigEndian)
        var collector = CommitCollector()
        var next = position.frame + 1
        while next <= last {
            try fillSlab(from: next, through: last)
            for frame in next..<(slabFirst + slabCount) {
                let bytes = slabFrame(frame)
                let header = try slab.withUnsafeBytes {
                    try chain.add(
                        UnsafeRawBufferPointer(rebasing: $0[bytes]),
                        offset: FrameHeader.offset(of: frame, pageSize: pageSize)
                    )
                }
                collector.add(header, frame: frame, sum: chain.sum) {
                    Array(slab[(bytes.lowerBound + FrameHeader.size)..<bytes.upperBound])
                }
            }
            next = slabFirst + slabCount
        }
        verified = last
        return collector.commits(expected: expected)
    }

    /// Copies a verified frame's page.
    func readPage(
        of frame: FrameIndex,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        if frame >= slabFirst, frame < slabFirst + slabCount {
            let bytes = slabFrame(frame)
            slab.withUnsafeBytes {
                buffer.copyMemory(
                    from: UnsafeRawBufferPointer(
                        rebasing: $0[(bytes.lowerBound + FrameHeader.size)..<bytes.upperBound]
                    )
                )
            }
            return
        }
        let offset = FrameHeader.offset(of: frame, pageSize: pageSize) + Int64(FrameHeader.size)
        guard try file.read(into: buffer, at: offset) == pageSize.bytes else {
            throw WALError(.truncated, offset: offset)
        }
    }

    /// The page number in a verified frame. The frames after it are taken into memory with it,
    /// since commits are read in their order.
    func page(of frame: FrameIndex) throws -> PageNumber {
        if frame < slabFirst || frame >= slabFirst + slabCount {
            try fillSlab(from: frame, through: max(frame, verified))
        }
        let start = slabFrame(frame).lowerBound
        return slab.withUnsafeBytes {
            PageNumber(UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
        }
    }

    private func slabFrame(_ frame: FrameIndex) -> Range<Int> {
        let start = Int(frame - slabFirst) * frameSize
        return start..<start + frameSize
    }

    private func fillSlab(from first: FrameIndex, through last: FrameIndex) throws {
        let count = min(Int(last - first) + 1, max(1, Self.slabBytesMax / frameSize))
        slabCount = 0
        let needed = count * frameSize
        if slab.count < needed {
            // It is read into before anybody looks at it.
            slab = [UInt8](unsafeUninitializedCapacity: needed) { $1 = needed }
        }
        let offset = FrameHeader.offset(of: first, pageSize: pageSize)
        let read = try slab.withUnsafeMutableBytes { buffer in
            try file.read(
                into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<(count * frameSize)]),
                at: offset
            )
        }
        guard read == count * frameSize else {
            throw WALError(.truncated, offset: offset + Int64(read))
        }
        slabFirst = first
        slabCount = UInt32(count)
    }
}
