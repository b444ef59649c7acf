/// What zstd could not do.
package struct ZstandardError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    package enum Code: String, Sendable {
        /// The bytes are not one whole zstd frame, or are damaged inside.
        case corrupt
        /// The frame's content has another size than the caller was told.
        case wrongSize
        /// The library could not allocate its context.
        case outOfMemory
        /// The library refused a parameter or its output buffer: our bug.
        case refused
    }

    /// What went wrong.
    package let code: Code
    /// A sentence for the log.
    package let message: String

    /// Whether the same call may succeed later.
    package var isRetryable: Bool { code == .outOfMemory }

    package var description: String { "zstd \(code.rawValue): \(message)" }

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
