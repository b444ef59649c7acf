/// The numbers that bound what a transfer does.
package enum Limits {
    /// Bytes of an answer's headers.
    package static let headerBytes = 256 * 1024
    /// Bytes of an error's body that are kept; what comes after them is not read.
    package static let errorBodyBytes = 256 * 1024
    /// Bytes that wait for the reader of a streamed body before the connection is told to wait.
    package static let streamBufferBytes = 1 << 20
    /// Idle easy handles that are kept for the next transfer.
    package static let pooledHandles = 16
    /// Idle connections that libcurl keeps.
    package static let pooledConnections = 32
    /// An idle connection that is older, in seconds, is not used again: stores close theirs early.
    package static let idleConnectionSeconds = 30
    /// A connection that is older, in seconds, is not used again, so that new addresses are found.
    package static let connectionSeconds = 300
    /// Bodies from this size on ask with `Expect: 100-continue` before they are sent.
    package static let expectBytes = 1 << 20
}
