import Glibc
package import Platform

/// The content of an object on its way to a store, piece by piece.
package protocol ObjectBody: Sendable {
    /// The content's length in bytes, when it is known beforehand.
    var byteCount: UInt64? { get }

    /// The next piece; nil at the end.
    mutating func next() async throws -> [UInt8]?
}

/// A body in memory.
package struct BytesBody: ObjectBody {
    private var bytes: [UInt8]?
    /// As the protocol says.
    package let byteCount: UInt64?

    /// A body of `bytes`.
    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
        byteCount = UInt64(bytes.count)
    }

    /// As the protocol says.
    package mutating func next() async throws -> [UInt8]? {
        defer { bytes = nil }
        return bytes
    }
}

/// A body that is read from a file, a piece at a time, on a thread of ours.
package struct FileBody: ObjectBody {
    /// As the protocol says.
    package let byteCount: UInt64?
    private let file: OpenFile
    private let executor: ThreadExecutor
    private var offset: Int64 = 0

    private final class OpenFile: Sendable {
        let descriptor: FileDescriptor

        init(path: String) throws(SystemError) {
            descriptor = try FileDescriptor(path: path, flags: O_RDONLY)
        }
    }

    /// The body in the file at `path`, as long as the file is now. A file that has become shorter
    /// ends the body with an error.
    package init(path: String, executor: ThreadExecutor) async throws {
        let file = try await executor.run { try OpenFile(path: path) }
        self.file = file
        self.executor = executor
        byteCount = try await executor.run { UInt64(try file.descriptor.status().size) }
    }

    /// As the protocol says.
    package mutating func next() async throws -> [UInt8]? {
        let remaining = Int64(byteCount ?? 0) - offset
        guard remaining > 0 else { return nil }
        let count = Int(min(remaining, Int64(Limits.bodyChunkBytes)))
        let (file, start) = (file, offset)
        let chunk = try await executor.run {
            try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                initialized = try file.descriptor.read(
                    into: UnsafeMutableRawBufferPointer(buffer),
                    at: start
                )
            }
        }
        guard chunk.count == count else { throw SystemError(EIO, call: "pread") }
        offset += Int64(count)
        return chunk
    }
}
