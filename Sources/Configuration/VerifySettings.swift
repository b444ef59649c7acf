/// When and how the agent verifies backups by itself.
package struct VerifySettings: Sendable, Equatable {
    /// How much is verified; each level does what the ones before it do.
    package enum Level: String, Sendable, CaseIterable {
        /// Names.
        case list
        /// Every byte of the objects.
        case checksum
        /// The newest state is rebuilt, and SQLite checks it.
        case restore
    }

    /// Between two verifications, in nanoseconds; 0 for never.
    package var interval: Int64 = 0
    /// How much is verified.
    package var level = Level.checksum
    /// The share of the objects that is read, in thousandths.
    package var share: UInt64 = 1000

    /// None.
    package init() {}
}

extension VerifySettings {
    /// Keys of the file, and of an entry of `dbs:`.
    static let keys = ["verify-interval", "verify-level", "verify-subset"]
    /// More often makes no sense.
    private static let intervalMin: Int64 = 1_000_000_000

    /// Reads them.
    mutating func read(_ keys: inout KeyReader) throws(ConfigurationError) {
        if let interval = try Self.interval("verify-interval", &keys) { self.interval = interval }
        if let entry = keys.take("verify-level") {
            let text = try keys.document.text(entry.value, key: "verify-level")
            guard let level = Level(rawValue: text) else {
                throw keys.document.error(
                    entry.line,
                    "'verify-level' is one of list, checksum, restore"
                )
            }
            self.level = level
        }
        if let entry = keys.take("verify-subset") {
            let text = try keys.document.text(entry.value, key: "verify-subset")
            guard let share = Quantity.thousandths(text) else {
                throw keys.document.error(
                    entry.line,
                    "'verify-subset' takes a share above 0% and up to 100%, as in 5%"
                )
            }
            self.share = share
        }
    }

    /// Reads the interval of Litestream's validation, which restores: `key` of `keys`. What it says
    /// is the default for our own keys.
    mutating func readValidation(
        _ key: String,
        _ keys: inout KeyReader
    ) throws(ConfigurationError) {
        guard let interval = try Self.interval(key, &keys), interval > 0 else { return }
        self.interval = interval
        level = .restore
    }

    /// A length of time that is none, or not too short.
    private static func interval(
        _ key: String,
        _ keys: inout KeyReader
    ) throws(ConfigurationError) -> Int64? {
        let line = keys.line(of: key)
        guard let interval = try keys.duration(key) else { return nil }
        guard interval == 0 || interval >= intervalMin else {
            throw keys.document.error(line, "'\(key)' is 0, for never, or a second at least")
        }
        return interval
    }
}
