/// What a store could not do.
package struct StoreError: Error, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    package enum Code: String, Sendable {
        /// The store says that there is no such object.
        case notFound
        /// The store refuses this user.
        case accessDenied
        /// The store did not answer, or answered that it cannot serve now.
        case unreachable
        /// The object exists already and was to be stored only if absent.
        case preconditionFailed
        /// The store is full.
        case noSpace
        /// The name, URL or range is not one that the store can take.
        case invalid
        /// The URL names a kind of store that this version does not know.
        case unsupported
        /// The bytes to be stored could not be read. Nothing was stored.
        case bodyFailed
        /// The store has no such bucket, so that nothing can be said about its objects.
        case noBucket
        /// What came from the store is not what it announced.
        case damaged
    }

    /// What was attempted.
    package enum Operation: String, Sendable {
        case open
        case put
        case get
        case head
        case list
        case delete
    }

    /// What went wrong.
    package let code: Code
    /// What was attempted.
    package let operation: Operation
    /// The object, prefix or URL.
    package let object: String
    /// A sentence: what the store said.
    package let message: String
    /// Whether the request may have taken effect all the same.
    package var mayHaveArrived = false

    /// A failure.
    package init(_ code: Code, _ operation: Operation, object: String, _ message: String) {
        self.code = code
        self.operation = operation
        self.object = object
        self.message = message
    }

    /// Whether the same request may succeed later without anybody's help.
    package var isRetryable: Bool { code == .unreachable || code == .noSpace }

    package var description: String { "cannot \(operation.rawValue) '\(object)': \(message)" }
}
