import Bytes
import PageHashing

/// Where everything in a segment lies: header, footer and block table, checked against each other
/// and against the file's length.
///
/// Reading takes two steps. First the first and the last 144 bytes; `tableRange` then says where
/// the table lies. After that every block can be fetched and decoded by itself.
package struct SegmentLayout: Hashable, Sendable {
    /// The segment's first 144 bytes.
    package let header: SegmentHeader
    /// The segment's last 144 bytes.
    package let footer: SegmentFooter
    /// The blocks, in the order in which they lie in the file, without a gap.
    package let blocks: [BlockEntry]
    /// The file's length in bytes.
    package let fileSize: UInt64

    /// The segment's key below its generation's folder.
    package var name: SegmentName { SegmentName(header: header, footer: footer) }

    /// Where the block table lies in a file of `fileSize` bytes.
    package static func tableRange(
        header: SegmentHeader,
        footer: SegmentFooter,
        fileSize: UInt64
    ) throws(SegmentError) -> Range<UInt64> {
        let ends = UInt64(SegmentHeader.encodedSize + SegmentFooter.encodedSize)
        let (start, length) = (footer.tableOffset, UInt64(footer.tableLength))
        guard fileSize >= ends + length, start == fileSize - length - 144, start >= 144 else {
            throw SegmentError(
                .wrongLength,
                at: start,
                "the block table does not end where the footer begins: the file has"
                    + " \(fileSize) bytes"
            )
        }
        return start..<start + length
    }

    /// The layout, from the bytes of `tableRange`.
    package init(
        header: SegmentHeader,
        footer: SegmentFooter,
        table: [UInt8],
        fileSize: UInt64
    ) throws(SegmentError) {
        try self.init(header: header, footer: footer, table: table[...], fileSize: fileSize)
    }

    init(
        header: SegmentHeader,
        footer: SegmentFooter,
        table: ArraySlice<UInt8>,
        fileSize: UInt64
    ) throws(SegmentError) {
        let range = try Self.tableRange(header: header, footer: footer, fileSize: fileSize)
        guard table.count == Int(footer.tableLength) else {
            throw SegmentError(.wrongLength, at: range.lowerBound, "the block table is cut off")
        }
        guard Checksum64.of(table) == footer.tableChecksum else {
            throw SegmentError(
                .checksumMismatch,
                at: range.lowerBound,
                "the block table's checksum is wrong"
            )
        }
        self.header = header
        self.footer = footer
        self.fileSize = fileSize
        var blocks: [BlockEntry] = []
        blocks.reserveCapacity(Int(footer.blockCount))
        var fields = FieldReader(table, base: range.lowerBound)
        for _ in 0..<footer.blockCount { blocks.append(try BlockEntry(decoding: &fields)) }
        self.blocks = blocks
        var rules = LayoutRules(header: header, footer: footer)
        try rules.checkFooter()
        for (index, block) in blocks.enumerated() {
            let place = range.lowerBound + UInt64(index * BlockEntry.encodedSize)
            try rules.check(block, entryAt: place)
        }
        try rules.checkEnd()
    }

    /// The layout of a segment whose bytes are all here.
    ///
    /// Blocks are not looked into.
    package init(segment bytes: [UInt8]) throws(SegmentError) {
        let (head, foot) = (SegmentHeader.encodedSize, SegmentFooter.encodedSize)
        let header = try SegmentHeader(decoding: bytes.prefix(head))
        guard bytes.count >= head + foot else {
            throw SegmentError(.wrongLength, at: UInt64(bytes.count), "the segment is cut off")
        }
        let start = bytes.count - foot
        let footer = try SegmentFooter(decoding: bytes[start...], offset: UInt64(start))
        let size = UInt64(bytes.count)
        let range = try Self.tableRange(header: header, footer: footer, fileSize: size)
        try self.init(
            header: header,
            footer: footer,
            table: bytes[Int(range.lowerBound)..<Int(range.upperBound)],
            fileSize: size
        )
    }
}
