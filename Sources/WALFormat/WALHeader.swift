package import Bytes

/// The first 32 bytes of a WAL file (sqlite.org/walformat.html §2.1), all big-endian:
///
///     0 magic   4 version   8 page size   12 checkpoint sequence
///     16 salt-1   20 salt-2   24 checksum-1   28 checksum-2 (of bytes 0..<24)
package struct WALHeader: Hashable, Sendable {
    /// Bytes in the header.
    package static let size = 32

    /// The database's page size.
    package let pageSize: PageSize
    /// The life of the WAL.
    package let salts: WALSalts
    /// Where the chain of frame checksums begins.
    package let checksum: WALChecksum
    /// The byte order in which checksums read their words: magic 0x377f0683 is big-endian.
    package let hasBigEndianChecksums: Bool

    /// Decodes and verifies a header.
    package init(_ bytes: UnsafeRawBufferPointer) throws(WALError) {
        guard bytes.count >= Self.size else {
            throw WALError(.truncated, offset: Int64(bytes.count))
        }
        func word(_ offset: Int) -> UInt32 {
            UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        guard word(0) & ~1 == 0x377f_0682 else { throw WALError(.notAWAL, offset: 0) }
        hasBigEndianChecksums = word(0) & 1 == 1
        guard word(4) == 3_007_000 else { throw WALError(.version, offset: 4) }
        guard let pageSize = PageSize(Int(word(8))) else { throw WALError(.pageSize, offset: 8) }
        self.pageSize = pageSize
        salts = WALSalts(salt1: word(16), salt2: word(20))
        checksum = WALChecksum(first: word(24), second: word(28))
        var sum = WALChecksum.zero
        sum.add(UnsafeRawBufferPointer(rebasing: bytes[0..<24]), bigEndian: hasBigEndianChecksums)
        guard sum == checksum else { throw WALError(.checksum, offset: 24) }
    }
}

/// A frame's first 24 bytes (sqlite.org/walformat.html §2.2), all big-endian:
///
///     0 page number   4 database size in pages if a commit frame, else 0
///     8 salt-1   12 salt-2   16 checksum-1   20 checksum-2
package struct FrameHeader: Hashable, Sendable {
    /// Bytes in a frame's header.
    package static let size = 24

    /// The page that the frame holds.
    package let page: PageNumber
    /// Pages in the database after the commit; zero when the frame ends no commit.
    package let commitPageCount: UInt32
    /// The life of the WAL that the frame belongs to.
    package let salts: WALSalts
    /// The running checksum up to and including this frame.
    package let checksum: WALChecksum

    /// Decodes a header; nothing is verified. `bytes` must hold at least 24.
    package init(_ bytes: UnsafeRawBufferPointer) {
        func word(_ offset: Int) -> UInt32 {
            UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        page = PageNumber(word(0))
        commitPageCount = word(4)
        salts = WALSalts(salt1: word(8), salt2: word(12))
        checksum = WALChecksum(first: word(16), second: word(20))
    }

    /// True for a frame that has neither salts nor a checksum.
    ///
    /// wal.c `walEncodeFrame` leaves both zero while a transaction has rewritten an earlier frame
    /// of its own, and `walRewriteChecksums` fills them in at the commit, but only from that
    /// earlier frame on. When a ROLLBACK TO has undone the rewritten frame, SQLite up to at least
    /// 3.40.1 commits such frames as they are. Its readers go by the WAL-index and see them.
    package var isUnchecked: Bool {
        salts == WALSalts(salt1: 0, salt2: 0) && checksum == .zero
    }

    /// Where frame `index` begins in the file, in bytes.
    package static func offset(of index: FrameIndex, pageSize: PageSize) -> Int64 {
        Int64(WALHeader.size) + Int64(index - 1) * Int64(size + pageSize.bytes)
    }
}

extension WALChecksum {
    /// Feeds a multiple of eight bytes (wal.c `walChecksumBytes`).
    package mutating func add(_ bytes: UnsafeRawBufferPointer, bigEndian: Bool) {
        precondition(bytes.count % 8 == 0, "WAL checksums take words by pairs")
        var s0 = first
        var s1 = second
        var offset = 0
        if bigEndian {
            while offset < bytes.count {
                let pair = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                s0 &+= UInt32(bigEndian: UInt32(truncatingIfNeeded: pair)) &+ s1
                s1 &+= UInt32(bigEndian: UInt32(truncatingIfNeeded: pair >> 32)) &+ s0
                offset += 8
            }
        } else {
            while offset < bytes.count {
                let pair = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                s0 &+= UInt32(truncatingIfNeeded: pair) &+ s1
                s1 &+= UInt32(truncatingIfNeeded: pair >> 32) &+ s0
                offset += 8
            }
        }
        first = s0
        second = s1
    }

    /// Feeds a frame: the first eight bytes of its header, then its page (wal.c `walDecodeFrame`).
    package mutating func addFrame(_ frame: UnsafeRawBufferPointer, bigEndian: Bool) {
        add(UnsafeRawBufferPointer(rebasing: frame[0..<8]), bigEndian: bigEndian)
        add(UnsafeRawBufferPointer(rebasing: frame[FrameHeader.size...]), bigEndian: bigEndian)
    }
}
