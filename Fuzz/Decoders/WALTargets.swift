import Bytes
import Glibc
import Platform
import WALFormat

@testable import Replication

extension FuzzTarget {
    /// SQLite's files.
    static let logs = [
        FuzzTarget("wal", decodeWAL),
        FuzzTarget("wal-file", decodeFile),
        FuzzTarget("wal-index", decodeIndex),
    ]

    /// A WAL. The first byte says what is made right before: the header's checksum, the frames'.
    private static func decodeWAL(_ bytes: [UInt8]) -> Bool {
        guard let choice = bytes.first else { return false }
        var wal = Array(bytes.dropFirst())
        if choice & 1 != 0, wal.count >= 32 { sealHeader(&wal) }
        do throws(WALError) {
            let header = try read(wal[...]) { bytes throws(WALError) in try WALHeader(bytes) }
            let size = FrameHeader.size + header.pageSize.bytes
            if choice & 2 != 0 { sealFrames(&wal, header, size) }
            var chain = ChecksumChain(
                salts: header.salts,
                sum: header.checksum,
                bigEndian: header.hasBigEndianChecksums
            )
            var frame = FrameIndex(1)
            for start in stride(from: 32, through: wal.count - size, by: size) {
                let offset = FrameHeader.offset(of: frame, pageSize: header.pageSize)
                promise(offset == Int64(start), "frame \(frame) lies at \(start)")
                let found = try read(wal[start..<start + size]) { bytes throws(WALError) in
                    try chain.add(bytes, offset: offset)
                }
                promise(found.page.rawValue > 0, "page number")
                frame += 1
            }
            return true
        } catch {
            _ = error.description
            return false
        }
    }

    /// A WAL as the agent reads it: a file, from any commit on. Of the first byte the lower two
    /// bits say what is made right before, the others how far the WAL-index says it goes.
    private static func decodeFile(_ bytes: [UInt8]) -> Bool {
        guard let choice = bytes.first else { return false }
        var wal = Array(bytes.dropFirst())
        if choice & 1 != 0, wal.count >= 32 { sealHeader(&wal) }
        let header = try? read(wal[...]) { bytes throws(WALError) in try WALHeader(bytes) }
        guard let pageSize = header?.pageSize ?? PageSize(512) else { return false }
        let size = FrameHeader.size + pageSize.bytes
        if choice & 2 != 0, let header { sealFrames(&wal, header, size) }
        let whole = max(0, wal.count - 32) / size
        let last = FrameIndex(max(0, whole + 1 - Int(choice >> 2 & 7)))
        return withFile(wal) { path in
            do {
                let file = try WALFile(path: path, pageSize: pageSize)
                return try follow(file, through: last)
            } catch {
                promise(error is WALError || error is SystemError, "\(error)")
                return false
            }
        }
    }

    private static func follow(_ file: WALFile, through last: FrameIndex) throws -> Bool {
        guard let header = try file.header() else { return false }
        let index = WALIndexHeader(mxFrame: last, salts: header.salts)
        _ = try file.hasFrames(after: index)
        let start = WALPosition(salts: header.salts, frame: 0, checksum: header.checksum)
        let isBig = header.hasBigEndianChecksums
        let commits = try file.verify(after: start, through: last, bigEndian: isBig)
        let merged = try file.verify(after: start, through: last, bigEndian: isBig, expected: 1)
        promise(merged.count <= commits.count, "\(merged)")
        promise(merged.last?.frame == commits.last?.frame, "\(merged)")
        promise(commits.map(\.frame) == commits.map(\.frame).sorted(), "\(commits)")
        promise((commits.last?.frame ?? 0) <= last, "\(commits)")
        for frame in stride(from: 1, through: last, by: 1) {
            let page = try file.frameHeader(frame)?.page
            promise(try file.page(of: frame) == page, "page of \(frame)")
        }
        for (number, commit) in commits.enumerated() {
            let place = WALPosition(
                salts: header.salts,
                frame: commit.frame,
                checksum: commit.checksum
            )
            promise(try commit.isUnchecked || file.holds(place, index), "\(place)")
            let rest = try file.verify(after: place, through: last, bigEndian: isBig)
            promise(rest.map(\.frame) == commits.dropFirst(number + 1).map(\.frame), "\(place)")
            promise(rest.last?.checksum ?? commit.checksum == commits.last?.checksum, "\(place)")
        }
        return !commits.isEmpty
    }

    private static func withFile(_ bytes: [UInt8], _ body: (String) -> Bool) -> Bool {
        let folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        let pattern = "\(folder)/highwater-fuzz-" + String(repeating: "X", count: 6)
        var name = Array(pattern.utf8CString)
        let file = mkstemp(&name)
        promise(file >= 0, "a file in \(folder)")
        promise(write(file, bytes, bytes.count) == bytes.count, "room in \(folder)")
        close(file)
        defer { unlink(name) }
        return body(String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    private static func read<T>(
        _ bytes: ArraySlice<UInt8>,
        _ body: (UnsafeRawBufferPointer) throws(WALError) -> T
    ) throws(WALError) -> T {
        let result: Result<T, WALError> = bytes.withUnsafeBytes { bytes in
            Result { () throws(WALError) in try body(bytes) }
        }
        return try result.get()
    }

    private static func sealHeader(_ wal: inout [UInt8]) {
        let isBigEndian = wal[3] & 1 == 1
        var sum = WALChecksum.zero
        wal[..<24].withUnsafeBytes { sum.add($0, bigEndian: isBigEndian) }
        put(sum, at: 24, &wal)
    }

    /// Gives frames that are not unchecked the salts and sums that they should have.
    private static func sealFrames(_ wal: inout [UInt8], _ header: WALHeader, _ size: Int) {
        var sum = header.checksum
        for start in stride(from: 32, through: wal.count - size, by: size) {
            if wal[start + 8..<start + 24].allSatisfy({ $0 == 0 }) { continue }
            wal.replaceSubrange(start + 8..<start + 16, with: wal[16..<24])
            wal[start..<start + size].withUnsafeBytes {
                sum.addFrame($0, bigEndian: header.hasBigEndianChecksums)
            }
            put(sum, at: start + 16, &wal)
        }
    }

    private static func put(_ sum: WALChecksum, at offset: Int, _ bytes: inout [UInt8]) {
        for (index, word) in [sum.first, sum.second].enumerated() {
            for byte in 0..<4 {
                bytes[offset + index * 4 + byte] = UInt8(
                    truncatingIfNeeded: word >> UInt32(24 - byte * 8)
                )
            }
        }
    }

    /// The first 136 bytes of a WAL-index, once as they are and once with a right checksum in two
    /// equal copies.
    private static func decodeIndex(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 136 else {
            return bytes.withUnsafeBytes { WALIndexHeader(copies: $0) } != nil
        }
        _ = bytes.withUnsafeBytes { WALIndexHeader(copies: $0) }
        var sealed = bytes
        var sum = WALChecksum.zero
        sealed[..<40].withUnsafeBytes { sum.add($0, bigEndian: false) }
        withUnsafeBytes(of: (sum.first, sum.second)) {
            sealed.replaceSubrange(40..<48, with: $0)
        }
        sealed.replaceSubrange(48..<96, with: sealed[..<48])
        return sealed.withUnsafeBytes { raw in
            let info = UnsafeRawBufferPointer(rebasing: raw[CheckpointInfo.offset...])
            _ = CheckpointInfo(info).nBackfill
            guard let header = WALIndexHeader(copies: raw) else { return false }
            if let pageSize = header.pageSize {
                // Whether a frame follows is always asked.
                let end = FrameHeader.offset(of: header.mxFrame + 1, pageSize: pageSize)
                promise(end >= 32, "frame \(header.mxFrame + 1) lies at \(end)")
            }
            return true
        }
    }
}
