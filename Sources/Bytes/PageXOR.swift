/// XOR of whole pages, the operation behind deltas.
package enum PageXOR {
    /// `target[i] ^= source[i]` for every byte. The lengths must be equal.
    package static func apply(
        _ source: UnsafeRawBufferPointer,
        to target: UnsafeMutableRawBufferPointer
    ) {
        precondition(source.count == target.count, "a delta has the size of its page")
        let words = source.count / 8
        for index in 0..<words {
            let value =
                source.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
                ^ target.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
            target.storeBytes(of: value, toByteOffset: index * 8, as: UInt64.self)
        }
        for index in words * 8..<source.count { target[index] ^= source[index] }
    }
}
