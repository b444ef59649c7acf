/// Why something cannot be examined, or must not be started.
package struct HazardsError: Error, CustomStringConvertible {
    /// What kind of failure it is; the command line maps each to an exit code.
    package enum Code: Hashable, Sendable {
        /// The path cannot be a database: a FIFO, a device, a folder, or in a folder that is
        /// missing.
        case unusablePath
        /// The database's set-up is known to lose data.
        case unsafe
    }

    /// What kind of failure it is.
    package let code: Code
    /// What happened and to which file, and what to do.
    package let message: String

    /// A failure.
    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Looking again changes nothing by itself.
    package var isRetryable: Bool { false }

    package var description: String { message }
}
