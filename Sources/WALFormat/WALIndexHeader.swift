package import Bytes

/// One copy of the WAL-index header (wal.c `WalIndexHdr`, sqlite.org/walformat.html §2.1): 48 bytes
/// at the start of the `-shm` file, native byte order, salts as raw bytes.
package struct WALIndexHeader: Hashable, Sendable {
    /// Bytes in one copy; the second copy follows the first.
    package static let size = 48

    /// Counts transactions; wraps.
    package let change: UInt32
    /// The byte order of the WAL's checksums.
    package let hasBigEndianChecksums: Bool
    /// The database's page size; nil only while the WAL is empty and nobody has said it.
    package let pageSize: PageSize?
    /// The last committed frame; zero after a reset.
    package let mxFrame: FrameIndex
    /// Pages in the database after that frame; zero when unknown (after recovery of an empty WAL).
    package let pageCount: UInt32
    /// The running checksum of frame `mxFrame`.
    package let frameChecksum: WALChecksum
    /// The life of the WAL.
    package let salts: WALSalts

    /// The place after the last committed frame.
    package var position: WALPosition {
        WALPosition(salts: salts, frame: mxFrame, checksum: frameChecksum)
    }

    /// A header of a WAL in little-endian checksums, for models and tests.
    package init(mxFrame: FrameIndex, salts: WALSalts) {
        change = 0
        hasBigEndianChecksums = false
        pageSize = nil
        self.mxFrame = mxFrame
        pageCount = 0
        frameChecksum = .zero
        self.salts = salts
    }

    /// Decodes 96 bytes: both copies. Nil when they differ, the header is not initialised or its
    /// checksum is wrong; a writer is then at work and the caller looks again.
    package init?(copies bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 2 * Self.size else { return nil }
        for offset in stride(from: 0, to: Self.size, by: 8)
        where bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            != bytes.loadUnaligned(fromByteOffset: offset + Self.size, as: UInt64.self)
        {
            return nil
        }
        func word(_ offset: Int) -> UInt32 {
            bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
        }
        guard word(0) == 3_007_000, bytes[12] != 0 else { return nil }
        var sum = WALChecksum.zero
        // wal.c `walIndexWriteHdr`: native byte order, over everything before aCksum.
        sum.add(UnsafeRawBufferPointer(rebasing: bytes[0..<40]), bigEndian: false)
        guard sum == WALChecksum(first: word(40), second: word(44)) else { return nil }
        let stored = Int(bytes.loadUnaligned(fromByteOffset: 14, as: UInt16.self))
        pageSize = PageSize(stored == 1 ? 65536 : stored)
        // The frame after the last one is asked for; no WAL is long enough for it not to exist.
        if pageSize == nil && word(16) > 0 || word(16) == .max { return nil }
        change = word(8)
        hasBigEndianChecksums = bytes[13] != 0
        mxFrame = word(16)
        pageCount = word(20)
        frameChecksum = WALChecksum(first: word(24), second: word(28))
        salts = WALSalts(salt1: UInt32(bigEndian: word(32)), salt2: UInt32(bigEndian: word(36)))
    }
}

/// What the WAL-index says of checkpoints (wal.c `WalCkptInfo`), at byte 96 of the `-shm` file.
package struct CheckpointInfo: Hashable, Sendable {
    /// Where the structure begins in the file.
    package static let offset = 96
    /// Bytes that this type reads.
    package static let size = 36

    /// Frames known to be in the database file.
    package let nBackfill: FrameIndex
    /// Frames that a checkpoint may have begun to copy.
    package let nBackfillAttempted: FrameIndex

    /// Values of a model's or test's choosing.
    package init(nBackfill: FrameIndex, nBackfillAttempted: FrameIndex) {
        self.nBackfill = nBackfill
        self.nBackfillAttempted = nBackfillAttempted
    }

    /// Decodes the structure from 36 bytes.
    package init(_ bytes: UnsafeRawBufferPointer) {
        nBackfill = bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self)
        nBackfillAttempted = bytes.loadUnaligned(fromByteOffset: 32, as: UInt32.self)
    }
}
