package import ObjectStorage

/// What one step of a check came to.
package struct Finding: Sendable {
    /// How a step ended.
    package enum Result: String, Sendable {
        /// As it has to be.
        case ok
        /// Backups work, with a restriction that the detail names.
        case warning
        /// Backups would not work, or not be safe.
        case failed
        /// A step before it failed, or the store has nothing of the kind.
        case skipped
    }

    /// The steps in their order.
    package enum Step: String, Sendable, CaseIterable {
        /// Listing what is below the URL: network, credentials, the bucket or folder.
        case list
        /// Storing an object whose name needs encoding.
        case write
        /// Reading it back at once.
        case read
        /// Reading parts of it, also beyond its end.
        case range
        /// Being told that an object is missing, rather than failing.
        case absence
        /// Finding in a listing exactly what was stored, in order, with sizes.
        case listing
        /// Refusing to replace an object that is to be stored only if absent.
        case conditional
        /// Refusing content that does not have the announced digest.
        case digest
        /// Storing and reading an object of several parts.
        case large
        /// Deleting.
        case delete
        /// The store's clock against this machine's.
        case clock
    }

    /// The step.
    package let step: Step
    /// How it ended.
    package let result: Result
    /// A sentence: what was seen, and what to do.
    package let detail: String
    /// How long it took.
    package let milliseconds: Int64
    /// The store's error, when there was one.
    package let error: StoreError?
}

/// A store that did not do what it has to; the detail of a finding.
struct Unexpected: Error {
    let detail: String

    init(_ detail: String) { self.detail = detail }
}
