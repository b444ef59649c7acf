import Bytes
import Testing

@testable import WALFormat

@Suite struct WALFormatTests {
    /// A WAL header as wal.c writes it, in either checksum byte order.
    private func headerBytes(bigEndian: Bool, pageSize: UInt32 = 4096) -> [UInt8] {
        var bytes: [UInt8] = []
        for word in [bigEndian ? 0x377f_0683 : 0x377f_0682, 3_007_000, pageSize, 7, 11, 13] {
            withUnsafeBytes(of: UInt32(word).bigEndian) { bytes.append(contentsOf: $0) }
        }
        var sum = WALChecksum.zero
        bytes.withUnsafeBytes { sum.add($0, bigEndian: bigEndian) }
        for word in [sum.first, sum.second] {
            withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }

    @Test(arguments: [true, false])
    func `a header decodes in both checksum byte orders`(bigEndian: Bool) throws {
        let header = try headerBytes(bigEndian: bigEndian).withUnsafeBytes { try WALHeader($0) }
        #expect(header.hasBigEndianChecksums == bigEndian)
        #expect(header.pageSize.bytes == 4096)
        #expect(header.salts == WALSalts(salt1: 11, salt2: 13))
    }

    @Test func `every flipped bit of a header is noticed`() {
        let good = headerBytes(bigEndian: false)
        for index in good.indices {
            for bit in 0..<8 {
                var bytes = good
                bytes[index] ^= 1 << UInt8(bit)
                #expect(throws: WALError.self) {
                    try bytes.withUnsafeBytes { try WALHeader($0) }
                }
            }
        }
    }

    @Test func `a short header is truncated, not a trap`() {
        for count in 0..<32 {
            #expect(throws: WALError.self) {
                try Array(headerBytes(bigEndian: true).prefix(count)).withUnsafeBytes {
                    try WALHeader($0)
                }
            }
        }
    }

    @Test func `the checksum is the one of sqlite.org's description`() {
        // s0 += x[i] + s1; s1 += x[i+1] + s0, by hand for the words 1, 2, 3, 4.
        var bytes: [UInt8] = []
        for word in [1, 2, 3, 4] as [UInt32] {
            withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
        }
        var sum = WALChecksum.zero
        bytes.withUnsafeBytes { sum.add($0, bigEndian: false) }
        #expect(sum == WALChecksum(first: 7, second: 14))
    }

    @Test(arguments: [512, 1024, 4096, 32768, 65536])
    func `frames follow each other by page size plus 24`(pageSize: Int) throws {
        let size = try #require(PageSize(pageSize))
        #expect(FrameHeader.offset(of: 1, pageSize: size) == 32)
        #expect(FrameHeader.offset(of: 3, pageSize: size) == Int64(32 + 2 * (24 + pageSize)))
    }

    /// A WAL-index header of 65,536-byte pages.
    private func indexHeader(mxFrame: UInt32) -> [UInt8] {
        var copy = [UInt8](repeating: 0, count: 48)
        copy.withUnsafeMutableBytes { buffer in
            buffer.storeBytes(of: UInt32(3_007_000), toByteOffset: 0, as: UInt32.self)
            buffer[12] = 1
            buffer.storeBytes(of: UInt16(1), toByteOffset: 14, as: UInt16.self)
            buffer.storeBytes(of: mxFrame, toByteOffset: 16, as: UInt32.self)
            var sum = WALChecksum.zero
            sum.add(UnsafeRawBufferPointer(rebasing: buffer[0..<40]), bigEndian: false)
            buffer.storeBytes(of: sum.first, toByteOffset: 40, as: UInt32.self)
            buffer.storeBytes(of: sum.second, toByteOffset: 44, as: UInt32.self)
        }
        return copy
    }

    @Test func `a WAL-index header after whose last frame there is no number is none`() {
        let (last, end) = (indexHeader(mxFrame: .max - 1), indexHeader(mxFrame: .max))
        let header = (last + last).withUnsafeBytes { WALIndexHeader(copies: $0) }
        #expect(header?.mxFrame == UInt32.max - 1)
        #expect((end + end).withUnsafeBytes { WALIndexHeader(copies: $0) } == nil)
    }

    @Test func `two copies of the WAL-index header must be equal and sound`() {
        let copy = indexHeader(mxFrame: 42)
        let header = (copy + copy).withUnsafeBytes { WALIndexHeader(copies: $0) }
        #expect(header?.mxFrame == 42)
        #expect(header?.pageSize?.bytes == 65536)
        for index in 0..<96 {
            var torn = copy + copy
            torn[index] ^= 0x10
            #expect(torn.withUnsafeBytes { WALIndexHeader(copies: $0) } == nil, "byte \(index)")
        }
    }
}
