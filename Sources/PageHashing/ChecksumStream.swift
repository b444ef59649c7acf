package import Bytes
import CXXHash

/// XXH3-128 without a seed over bytes that arrive in pieces: the checksum of a segment.
///
/// Owns the C library's state (`XXH3_state_t`), 576 bytes.
package struct ChecksumStream: ~Copyable {
    private let state: OpaquePointer

    /// A stream that has seen nothing yet.
    package init() {
        // The library's own allocator aligns the state as its vector code needs it. It fails only
        // when the process has no 576 bytes left, where nothing else could go on either.
        guard let state = XXH3_createState() else { fatalError("no memory for a checksum") }
        self.state = state
        XXH3_128bits_reset(state)
    }

    deinit { XXH3_freeState(state) }

    /// Adds the next bytes.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        XXH3_128bits_update(state, bytes.baseAddress, bytes.count)
    }

    /// Adds the next bytes.
    package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The checksum of everything so far; more may follow.
    package func finish() -> SegmentChecksum {
        let value = XXH3_128bits_digest(state)
        return SegmentChecksum(low: value.low64, high: value.high64)
    }

    /// Forgets everything seen.
    package mutating func reset() { XXH3_128bits_reset(state) }
}
