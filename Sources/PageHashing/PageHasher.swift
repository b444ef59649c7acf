package import Bytes
import CXXHash

/// The hash of a page at its place: what tells that a page is right, and right where it is.
package enum PageHasher {
    /// XXH3-128 of `page`, seeded with its number: content at another place hashes differently.
    ///
    /// The C function is `XXH3_128bits_withSeed`.
    package static func hash(_ page: UnsafeRawBufferPointer, number: PageNumber) -> PageHash {
        let value = XXH3_128bits_withSeed(page.baseAddress, page.count, UInt64(number.rawValue))
        return PageHash(low: value.low64, high: value.high64)
    }
}

/// XXH3-64 without a seed, which guards headers, tables and blocks against damage.
package enum Checksum64 {
    /// The checksum of `bytes`.
    ///
    /// The C function is `XXH3_64bits`.
    package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        XXH3_64bits(bytes.baseAddress, bytes.count)
    }

    /// The checksum of `bytes`.
    package static func of(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { of($0) } }

    /// The checksum of `bytes`.
    package static func of(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.withUnsafeBytes { of($0) }
    }
}
