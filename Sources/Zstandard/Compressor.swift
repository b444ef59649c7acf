import CZstd

/// One zstd compression context, reused from call to call.
///
/// Each call makes one frame that holds its content's size. The context's tables are sized for
/// the largest input since the last `release()`, not for the level's maximum: at level 3 with zstd
/// 1.5.4 90 KB for 4 KiB, 1 MB for 256 KiB, 1.3 MB for 1 MiB.
package struct Compressor: ~Copyable {
    private var context: OpaquePointer?
    private let level: Int32

    /// A compressor at zstd's `level` (1…19); out-of-range levels are brought into the range.
    package init(level: Int32) {
        self.level = min(max(level, 1), 19)
    }

    deinit { ZSTD_freeCCtx(context) }

    /// The most bytes that a frame of `count` content bytes takes.
    package static func bound(_ count: Int) -> Int { ZSTD_compressBound(count) }

    /// Writes the frame of `source` to the start of `target` and returns its length.
    ///
    /// The C function is `ZSTD_compress2`.
    /// - Throws: `refused` when `target` is smaller than `bound(source.count)` and too small;
    ///   `outOfMemory`.
    package mutating func compress(
        _ source: UnsafeRawBufferPointer,
        into target: UnsafeMutableRawBufferPointer
    ) throws(ZstandardError) -> Int {
        let context = try ready()
        let result = ZSTD_compress2(
            context,
            target.baseAddress,
            target.count,
            source.baseAddress,
            source.count
        )
        guard ZSTD_isError(result) == 0 else {
            throw ZstandardError(.refused, String(cString: ZSTD_getErrorName(result)))
        }
        return result
    }

    /// The frame of `source`.
    package mutating func compress(_ source: [UInt8]) throws(ZstandardError) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: Self.bound(source.count))
        let result: Result<Int, ZstandardError> = source.withUnsafeBytes { source in
            target.withUnsafeMutableBytes { target in
                Result { () throws(ZstandardError) in try compress(source, into: target) }
            }
        }
        target.removeSubrange(try result.get()...)
        return target
    }

    /// Gives the context's memory back; the next call allocates again.
    package mutating func release() {
        ZSTD_freeCCtx(context)
        context = nil
    }

    private mutating func ready() throws(ZstandardError) -> OpaquePointer {
        if let context { return context }
        guard let fresh = ZSTD_createCCtx() else {
            throw ZstandardError(.outOfMemory, "no memory for a compression context")
        }
        ZSTD_CCtx_setParameter(fresh, ZSTD_c_compressionLevel, level)
        context = fresh
        return fresh
    }
}
