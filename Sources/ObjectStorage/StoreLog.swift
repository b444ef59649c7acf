/// How much a line matters.
package enum StoreLogLevel: Sendable {
    case debug
    case info
    case warning
}

/// Takes a line: level, message, and values by name. Never a secret.
package typealias StoreLog =
    @Sendable (StoreLogLevel, String, [(String, String)]) -> Void
