import CZstd

/// One zstd decompression context, reused from call to call.
package struct Decompressor: ~Copyable {
    private var context: OpaquePointer?

    /// A decompressor; its context (about 100 KB) is allocated by the first call.
    package init() {}

    deinit { ZSTD_freeDCtx(context) }

    /// The content of the one frame that `source` is, which must be `count` bytes.
    ///
    /// Nothing is allocated for the content before the frame itself names the size expected, and
    /// the caller bounds `count`. Several frames, skippable frames and bytes after the frame are
    /// refused. The C function is `ZSTD_decompressDCtx`.
    package mutating func decompress(
        _ source: UnsafeRawBufferPointer,
        exactly count: Int
    ) throws(ZstandardError) -> [UInt8] {
        try Self.checkFrame(source, contentSize: count)
        let context = try ready()
        var result = 0
        let content = [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
            result = ZSTD_decompressDCtx(
                context,
                target.baseAddress,
                count,
                source.baseAddress,
                source.count
            )
            initialized = result == count ? count : 0
        }
        guard ZSTD_isError(result) == 0 else {
            throw ZstandardError(.corrupt, String(cString: ZSTD_getErrorName(result)))
        }
        guard result == count else {
            throw ZstandardError(.wrongSize, "the frame holds \(result) bytes, not \(count)")
        }
        return content
    }

    /// The content of the one frame that `source` is, which must be `count` bytes.
    package mutating func decompress(
        _ source: [UInt8],
        exactly count: Int
    ) throws(ZstandardError) -> [UInt8] {
        let result: Result<[UInt8], ZstandardError> = source.withUnsafeBytes { bytes in
            Result { () throws(ZstandardError) in try decompress(bytes, exactly: count) }
        }
        return try result.get()
    }

    private static func checkFrame(
        _ source: UnsafeRawBufferPointer,
        contentSize: Int
    ) throws(ZstandardError) {
        guard source.count >= 4, source[0] == 0x28, source[1] == 0xb5, source[2] == 0x2f,
            source[3] == 0xfd
        else { throw ZstandardError(.corrupt, "the bytes do not begin a zstd frame") }
        let frame = ZSTD_findFrameCompressedSize(source.baseAddress, source.count)
        guard ZSTD_isError(frame) == 0, frame == source.count else {
            throw ZstandardError(.corrupt, "the bytes are not exactly one zstd frame")
        }
        let size = ZSTD_getFrameContentSize(source.baseAddress, source.count)
        guard size == UInt64(contentSize) else {
            throw ZstandardError(.wrongSize, "the frame does not announce \(contentSize) bytes")
        }
    }

    private mutating func ready() throws(ZstandardError) -> OpaquePointer {
        if let context { return context }
        guard let fresh = ZSTD_createDCtx() else {
            throw ZstandardError(.outOfMemory, "no memory for a decompression context")
        }
        context = fresh
        return fresh
    }
}
