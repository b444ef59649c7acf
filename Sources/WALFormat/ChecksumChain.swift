package import Bytes

/// The chain of checksums through the frames of a WAL, from a known place on
/// (sqlite.org/walformat.html §4.1), for frames that the WAL-index says are committed.
///
/// Frames without salts and checksum (`FrameHeader.isUnchecked`) are let through: for them the
/// WAL-index is the only witness, as it is for SQLite's own readers. Frames after them go on from
/// the last checked frame, where a later transaction wrote them, or from zero, where
/// `walRewriteChecksums` took an unchecked frame's field for the sum so far.
package struct ChecksumChain {
    /// The sum after the last checked frame.
    package private(set) var sum: WALChecksum
    private let salts: WALSalts
    private let bigEndian: Bool
    private var followsUnchecked = false

    /// The chain after a frame with checksum `sum` of the life `salts`.
    package init(salts: WALSalts, sum: WALChecksum, bigEndian: Bool) {
        self.salts = salts
        self.sum = sum
        self.bigEndian = bigEndian
    }

    /// Verifies the next frame, header and page; `offset` is its place in the file.
    package mutating func add(
        _ frame: UnsafeRawBufferPointer,
        offset: Int64
    ) throws(WALError) -> FrameHeader {
        let header = FrameHeader(frame)
        guard header.page.rawValue > 0 else { throw WALError(.pageNumber, offset: offset) }
        if header.isUnchecked {
            followsUnchecked = true
            return header
        }
        guard header.salts == salts else { throw WALError(.salts, offset: offset) }
        if !goesOn(from: sum, frame, to: header.checksum) {
            guard followsUnchecked, goesOn(from: .zero, frame, to: header.checksum) else {
                throw WALError(.checksum, offset: offset)
            }
        }
        sum = header.checksum
        followsUnchecked = false
        return header
    }

    private func goesOn(
        from start: WALChecksum,
        _ frame: UnsafeRawBufferPointer,
        to end: WALChecksum
    ) -> Bool {
        var next = start
        next.addFrame(frame, bigEndian: bigEndian)
        return next == end
    }
}
