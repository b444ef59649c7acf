/// Why a request about the databases of a process cannot be fulfilled.
package struct SupervisionError: Error, CustomStringConvertible {
    /// What kind of failure it is; the command line maps each to an exit code.
    package enum Code: String, Sendable {
        /// The database does not exist, or is not one of this agent's.
        case missing
        /// The request makes no sense.
        case invalid
        /// What was committed could not be stored in time.
        case notDurable
        /// The agent ends.
        case ending
    }

    /// What kind of failure it is.
    package let code: Code
    /// What happened and to which database, and what to do.
    package let message: String

    /// A failure.
    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
