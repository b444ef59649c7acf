/// What the user wants to keep, and how careful deleting is.
package struct RetentionRules: Hashable, Sendable {
    /// Every commit of this last stretch of time can be restored, in milliseconds.
    package var window: Int64
    /// How long something stays after it is no longer needed, in milliseconds, so that a restore
    /// that has planned with it ends well.
    package var grace: Int64
    /// The same for log segments that a pack holds now, which a restore can find there.
    package var packGrace: Int64

    /// Rules; seven days, one day and one hour by default.
    package init(
        window: Int64 = 7 * Milliseconds.day,
        grace: Int64 = Milliseconds.day,
        packGrace: Int64 = Milliseconds.hour
    ) {
        self.window = max(0, window)
        self.grace = max(0, grace)
        self.packGrace = max(0, packGrace)
    }
}

/// Why an object may be deleted.
package enum DeletionReason: String, Sendable {
    /// A pack holds it.
    case packed
    /// Another object holds the same commits: sent again after an agent was killed.
    case repeated
    /// No base reaches it.
    case orphan
    /// Everything in it is older than the window.
    case expired
    /// Its whole generation is.
    case generationExpired = "generation_expired"
}

/// One object to delete.
package struct Deletion: Hashable, Sendable {
    /// Its key.
    package let key: String
    /// Its length in bytes.
    package let size: UInt64
    /// Why.
    package let reason: DeletionReason
}

/// Something that the user should know.
package struct RetentionNote: Hashable, Sendable {
    /// The generation or object.
    package let object: String
    /// What is the matter with it.
    package let message: String
}
