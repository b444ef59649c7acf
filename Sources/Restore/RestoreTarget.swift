package import Bytes

/// Which state a user wants.
package enum RestoreTarget: Sendable, Hashable {
    /// The last one.
    case latest
    /// The state after this commit.
    case txid(TXID)
    /// The state just before this commit.
    case before(TXID)
    /// The state after the last commit seen at this time or earlier.
    case timestamp(Timestamp)
}
