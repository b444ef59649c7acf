/// Bytes that are not what a WAL or WAL-index must hold.
package struct WALError: Error, Hashable, CustomStringConvertible {
    /// What is wrong.
    package enum Code: Hashable, Sendable {
        /// Fewer bytes than the structure needs.
        case truncated
        /// The magic number is not a WAL's.
        case notAWAL
        /// A version other than 3007000.
        case version
        /// A page size that SQLite does not allow.
        case pageSize
        /// A checksum that does not match.
        case checksum
        /// A frame of another life of the WAL.
        case salts
        /// A page number of zero.
        case pageNumber
    }

    /// What is wrong.
    package let code: Code
    /// Where, in bytes from the start of the file.
    package let offset: Int64

    /// An error at `offset`.
    package init(_ code: Code, offset: Int64) {
        self.code = code
        self.offset = offset
    }

    package var description: String { "WAL: \(code) at byte \(offset)" }
}
