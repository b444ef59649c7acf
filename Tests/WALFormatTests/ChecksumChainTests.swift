import Bytes
import Testing

@testable import WALFormat

@Suite struct ChecksumChainTests {
    private static let salts = WALSalts(salt1: 11, salt2: 13)
    private static let start = WALChecksum(first: 7, second: 9)

    /// A frame as wal.c `walEncodeFrame` writes it; nil for `sum` leaves salts and checksum zero.
    private func frame(
        page: UInt32,
        fill: UInt8,
        from sum: inout WALChecksum?,
        salts: WALSalts = ChecksumChainTests.salts
    ) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 24) + [UInt8](repeating: fill, count: 512)
        func put(_ word: UInt32, at offset: Int) {
            withUnsafeBytes(of: word.bigEndian) {
                bytes.replaceSubrange(offset..<offset + 4, with: $0)
            }
        }
        put(page, at: 0)
        guard var next = sum else { return bytes }
        put(salts.salt1, at: 8)
        put(salts.salt2, at: 12)
        bytes.withUnsafeBytes { next.addFrame($0, bigEndian: false) }
        put(next.first, at: 16)
        put(next.second, at: 20)
        sum = next
        return bytes
    }

    private func chain() -> ChecksumChain {
        ChecksumChain(salts: Self.salts, sum: Self.start, bigEndian: false)
    }

    @Test func `frames that follow each other are let through, each flipped byte is not`() throws {
        var sum: WALChecksum? = Self.start
        let first = frame(page: 3, fill: 1, from: &sum)
        let second = frame(page: 4, fill: 2, from: &sum)
        var good = chain()
        _ = try first.withUnsafeBytes { try good.add($0, offset: 0) }
        _ = try second.withUnsafeBytes { try good.add($0, offset: 0) }
        #expect(good.sum == sum)
        for index in second.indices {
            var bytes = second
            bytes[index] ^= 1
            var damaged = chain()
            _ = try first.withUnsafeBytes { try damaged.add($0, offset: 0) }
            #expect(throws: WALError.self, "byte \(index)") {
                try bytes.withUnsafeBytes { _ = try damaged.add($0, offset: 0) }
            }
        }
    }

    @Test(arguments: [true, false])
    func `frames after unchecked ones go on from the last sum or from zero`(
        fromZero: Bool
    ) throws {
        var sum: WALChecksum? = Self.start
        var none: WALChecksum?
        let checked = frame(page: 3, fill: 1, from: &sum)
        let unchecked = frame(page: 4, fill: 2, from: &none)
        if fromZero { sum = .zero }
        let after = frame(page: 5, fill: 3, from: &sum)
        var chain = chain()
        for bytes in [checked, unchecked, unchecked, after] {
            _ = try bytes.withUnsafeBytes { try chain.add($0, offset: 0) }
        }
        #expect(chain.sum == sum)
    }

    @Test func `a chain begins anew at zero only after an unchecked frame`() throws {
        var zero: WALChecksum? = .zero
        let stray = frame(page: 5, fill: 3, from: &zero)
        var chain = chain()
        #expect(throws: WALError(.checksum, offset: 5)) {
            try stray.withUnsafeBytes { _ = try chain.add($0, offset: 5) }
        }
    }

    @Test func `frames of another life of the WAL and of page 0 are refused`() throws {
        var sum: WALChecksum? = Self.start
        let foreign = frame(page: 3, fill: 1, from: &sum, salts: WALSalts(salt1: 1, salt2: 2))
        var chain = chain()
        #expect(throws: WALError(.salts, offset: 0)) {
            try foreign.withUnsafeBytes { _ = try chain.add($0, offset: 0) }
        }
        var none: WALChecksum?
        let empty = frame(page: 0, fill: 0, from: &none)
        #expect(throws: WALError(.pageNumber, offset: 0)) {
            try empty.withUnsafeBytes { _ = try chain.add($0, offset: 0) }
        }
    }
}
