/// Why the objects in a store do not make up the backup that was asked for.
package struct CatalogError: Error, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    package enum Code: String, Sendable {
        /// The store holds no backup, or not the generation asked for.
        case nothingFound
        /// A generation's base is not in the store, so that nothing of it can be restored.
        case noBase
        /// An object is not what its name says, or is gone although it was listed.
        case damaged
        /// An object was written by a newer version.
        case unsupported
        /// Two histories go on from one commit.
        case forked
        /// Several generations might be meant.
        case ambiguous
    }

    /// What went wrong.
    package let code: Code
    /// The object, generation or store.
    package let object: String
    /// What happened, and what to do.
    package let message: String

    /// A failure.
    package init(_ code: Code, object: String, _ message: String) {
        self.code = code
        self.object = object
        self.message = message
    }

    /// Whether looking again may succeed without anybody's help: never.
    package var isRetryable: Bool { false }

    package var description: String { "'\(object)': \(message)" }
}
