import Bytes
import PageHashing
import SegmentFormat
import Zstandard

/// Takes a segment apart so that a test may change it anywhere, and puts it together again with
/// every checksum made right: what a hostile writer could do.
struct Forgery {
    var header: [UInt8]
    /// Stored blocks, in file order.
    var blocks: [[UInt8]]
    var table: [UInt8]
    var footer: [UInt8]

    init(_ bytes: [UInt8]) throws {
        let layout = try SegmentLayout(segment: bytes)
        header = Array(bytes[..<144])
        blocks = layout.blocks.map { Sample.stored($0, in: bytes) }
        let start = Int(layout.footer.tableOffset)
        table = Array(bytes[start..<bytes.count - 144])
        footer = Array(bytes.suffix(144))
    }

    /// Puts a new raw content into block `index`, and the sizes, offsets and checksums that follow
    /// from it into the table and the footer.
    mutating func replace(_ index: Int, raw: [UInt8], count: UInt32? = nil) throws {
        var compressor = Compressor(level: 3)
        try store(index, compressor.compress(raw))
        set(&table, index * 48 + 20, UInt32(raw.count))
        if let count { set(&table, index * 48 + 4, count) }
    }

    /// Puts other stored bytes into block `index`.
    mutating func store(_ index: Int, _ stored: [UInt8]) throws {
        blocks[index] = stored
        set(&table, index * 48 + 16, UInt32(stored.count))
        set(&table, index * 48 + 24, Checksum64.of(stored))
        var offset: UInt64 = 144
        for (index, block) in blocks.enumerated() {
            set(&table, index * 48 + 8, offset)
            offset += UInt64(block.count)
        }
        set(&footer, 0, offset)
    }

    /// The decompressed content of block `index`.
    func raw(_ index: Int) throws -> [UInt8] {
        let size = table.span.bytes.littleEndian(at: index * 48 + 20, as: UInt32.self)
        var decompressor = Decompressor()
        return try decompressor.decompress(blocks[index], exactly: Int(size))
    }

    /// The segment, all checksums right.
    func sealed() -> [UInt8] {
        var (header, footer) = (header, footer)
        set(&header, 136, Checksum64.of(Array(header[..<136])))
        set(&footer, 16, Checksum64.of(table))
        var bytes = header + blocks.joined() + table + footer[..<112]
        var stream = ChecksumStream()
        stream.update(bytes)
        bytes.append(stream.finish())
        bytes.append(littleEndian: Checksum64.of(Array(bytes.suffix(128))))
        return bytes + footer.suffix(8)
    }
}

/// Stores `value` at `offset`, little-endian.
func set<T: FixedWidthInteger>(_ bytes: inout [UInt8], _ offset: Int, _ value: T) {
    var encoded: [UInt8] = []
    encoded.append(littleEndian: value)
    bytes.replaceSubrange(offset..<offset + encoded.count, with: encoded)
}
