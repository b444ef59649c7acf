/// Why maintenance was refused or failed. Nothing that is needed was deleted.
package struct MaintenanceError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it is.
    package enum Code: String, Sendable {
        /// This machine's clock and the store's differ, so nobody knows how old anything is.
        case clockDiffers
        /// An object that was just stored is not in the store as it was written.
        case notConfirmed
        /// What is in the store does not allow the step.
        case notPossible
    }

    /// What kind of failure it is.
    package let code: Code
    /// The object or store.
    package let object: String
    /// What happened, and what to do.
    package let message: String

    /// A failure.
    package init(_ code: Code, object: String, _ message: String) {
        self.code = code
        self.object = object
        self.message = message
    }

    /// Whether the same step may succeed later without anybody's help.
    package var isRetryable: Bool { code == .notConfirmed }

    package var description: String { "'\(object)': \(message)" }
}
