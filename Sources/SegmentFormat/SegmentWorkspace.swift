import Zstandard

/// The memory that encoders work in: one zstd context and the buffers of the blocks being filled.
///
/// Kept from segment to segment, so that a small segment allocates next to nothing. One encoder
/// uses it at a time. Not thread-safe.
package final class SegmentWorkspace {
    var compressor: Compressor
    /// Pages of the content block being filled.
    var content: [UInt8] = []
    /// Records of the meta block being filled.
    var meta: [UInt8] = []
    /// Where zstd writes.
    var frame: [UInt8] = []
    /// The encoder that works in it now, by the number of its lease.
    private var lease: UInt64?
    private var leaseCount: UInt64 = 0

    /// An empty workspace, which compresses at zstd's `compressionLevel`.
    package init(compressionLevel: Int32 = 3) {
        compressor = Compressor(level: compressionLevel)
    }

    /// Bytes held in buffers, the zstd context not counted.
    package var bufferByteCount: Int { content.capacity + meta.capacity + frame.capacity }

    /// Gives large buffers and the zstd context back.
    ///
    /// Call it when no segment is expected soon, and between two segments only.
    package func trim() {
        precondition(lease == nil, "a workspace is trimmed between two segments")
        compressor.release()
        let limit = SegmentLimits.keptBufferBytes
        if content.capacity > limit { content = [] }
        if meta.capacity > limit { meta = [] }
        if frame.capacity > limit { frame = [] }
    }

    /// Gives the workspace to an encoder, its buffers empty; nil while another one has it.
    func take() -> UInt64? {
        guard lease == nil else { return nil }
        leaseCount += 1
        lease = leaseCount
        content.removeAll(keepingCapacity: true)
        meta.removeAll(keepingCapacity: true)
        return leaseCount
    }

    /// Takes the workspace back from the encoder with that lease, if it still has it.
    func giveBack(_ number: UInt64) {
        if lease == number { lease = nil }
    }

    /// Makes `frame` large enough for the compressed form of `count` bytes.
    func reserveFrame(for count: Int) {
        let bound = Compressor.bound(count)
        if frame.count < bound { frame = [UInt8](repeating: 0, count: bound) }
    }
}
