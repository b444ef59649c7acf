package import ObjectStorage

/// Why a restore was refused or failed.
package struct RestoreError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it is.
    package enum Code: Sendable {
        /// The target lies outside what can be restored.
        case outsideWindow
        /// The target is in a hole.
        case hole
        /// The output exists, or files that belong to another database lie beside it.
        case unsafeOutput
        /// The output's folder is not this user's to write to.
        case accessDenied
        /// The disk has not enough room.
        case noSpace
        /// What was restored is not what was recorded.
        case integrity
        /// An object that the plan needs is gone.
        case vanished
        /// The request makes no sense as it stands.
        case usage
    }

    /// What kind of failure it is.
    package let code: Code
    /// What happened, to which object, and what to do.
    package let message: String
    /// The object that is to blame, if one is.
    package let object: ObjectKey?

    /// A failure.
    package init(_ code: Code, _ message: String, object: ObjectKey? = nil) {
        self.code = code
        self.message = message
        self.object = object
    }

    /// Whether trying again may help without anybody's doing: never.
    package var isRetryable: Bool { false }

    package var description: String { message }
}

/// A failure while one object was read, with the object: so that a plan can be made without it.
struct ObjectFailure: Error {
    let key: ObjectKey
    let cause: any Error
}
