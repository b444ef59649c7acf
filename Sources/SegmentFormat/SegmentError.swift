/// Why bytes are not a segment of this format, or why a segment cannot be written.
package struct SegmentError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    package enum Code: String, Sendable {
        /// The bytes end before the structure does, or go on after it.
        case wrongLength
        /// The bytes are not a Highwater segment.
        case foreign
        /// A newer format, or a kind, flag, record or reserved byte that this version must not
        /// guess the meaning of.
        case unsupported
        /// A checksum does not match: the bytes were damaged.
        case checksumMismatch
        /// A field's value is impossible.
        case invalidField
        /// Two parts of the segment contradict each other.
        case inconsistent
        /// zstd refused a block.
        case compression
        /// The caller's pages and commits break a rule of the format. The encoder refuses all
        /// further work: nothing of the segment may be stored.
        case misuse
    }

    /// What went wrong.
    package let code: Code
    /// Where in the file, in bytes from its start; nil when the place is not known.
    package let offset: UInt64?
    /// A sentence: what was read, and what it should have been.
    package let message: String
    /// The object, as the caller that read it named it.
    package var object: String?

    /// Whether decoding the same bytes again may succeed: never. (Fetching them again may.)
    package var isRetryable: Bool { false }

    /// The same error, saying which object it is about.
    package func about(_ object: String) -> SegmentError {
        var copy = self
        copy.object = object
        return copy
    }

    package var description: String {
        let subject = object.map { "segment \($0)" } ?? "segment"
        let place = offset.map { " (at byte \($0))" } ?? ""
        return "\(subject): \(message)\(place)\(remedy)"
    }

    private var remedy: String {
        switch code {
        case .unsupported: "; restore with a newer highwater"
        case .misuse: ""
        default: "; the object is damaged: another replica or an earlier target may be whole"
        }
    }

    init(_ code: Code, at offset: UInt64? = nil, _ message: String) {
        self.code = code
        self.offset = offset
        self.message = message
    }
}
