/// Bounds-checked loads from untrusted bytes. Every offset is checked: an offset past the end is
/// our bug and traps, so decoders check lengths first and throw.
extension RawSpan {
    /// The integer at `offset`, stored little-endian.
    @inlinable
    package func littleEndian<T: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int,
        as type: T.Type
    ) -> T {
        T(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
    }

    /// The integer at `offset`, stored big-endian.
    @inlinable
    package func bigEndian<T: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int,
        as type: T.Type
    ) -> T {
        T(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
    }
}

extension Array where Element == UInt8 {
    /// Appends `value`, little-endian.
    @inlinable
    package mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    /// Appends a 128-bit number, little-endian (the low half first).
    package mutating func append(_ value: Hash128) {
        append(littleEndian: value.low)
        append(littleEndian: value.high)
    }
}
