import Bytes

/// Reads fixed-size structures whose length was checked, field after field.
struct FieldReader {
    private let bytes: ArraySlice<UInt8>
    private var index: Int
    /// Where the structure begins in the file, for errors.
    private let base: UInt64

    init(_ bytes: ArraySlice<UInt8>, base: UInt64) {
        self.bytes = bytes
        index = bytes.startIndex
        self.base = base
    }

    /// Where the next field lies in the file.
    var offset: UInt64 { base &+ UInt64(index - bytes.startIndex) }

    /// Bytes not read yet.
    var remaining: Int { bytes.endIndex - index }

    mutating func next<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type = T.self) -> T {
        let size = MemoryLayout<T>.size
        precondition(remaining >= size, "the structure's length was checked")
        defer { index += size }
        return bytes.span.bytes.littleEndian(at: index - bytes.startIndex, as: T.self)
    }

    mutating func hash() -> Hash128 {
        let low: UInt64 = next()
        return Hash128(low: low, high: next())
    }

    mutating func take(_ count: Int) -> ArraySlice<UInt8> {
        precondition(remaining >= count, "the structure's length was checked")
        defer { index += count }
        return bytes[index..<index + count]
    }

    /// Skips reserved bytes, which must be zero.
    mutating func reserved(_ count: Int, in structure: String) throws(SegmentError) {
        let place = offset
        guard take(count).allSatisfy({ $0 == 0 }) else {
            throw SegmentError(.unsupported, at: place, "\(structure) uses a reserved field")
        }
    }

    /// A hash that is there when `known`, and zero otherwise.
    mutating func hash(known: Bool, in structure: String) throws(SegmentError) -> Hash128? {
        let place = offset
        let value = hash()
        if known { return value }
        guard value == .zero else {
            throw SegmentError(.invalidField, at: place, "\(structure): a hash without its flag")
        }
        return nil
    }
}

/// Throws unless `flags` has only bits of `known`.
func checkFlags<T: FixedWidthInteger>(
    _ flags: T,
    known: T,
    at offset: UInt64,
    in structure: String
) throws(SegmentError) {
    guard flags & ~known == 0 else {
        throw SegmentError(.unsupported, at: offset, "\(structure) has unknown flags \(flags)")
    }
}
