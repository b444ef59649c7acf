/// What the agent may use, for all databases together.
package struct ResourceSettings: Sendable, Equatable {
    /// Bytes in memory that may wait for stores before commits wait in the WAL instead.
    package var memoryLimit: Int64 = 256 << 20
    /// Requests per second, to all buckets together; nil for no ceiling.
    package var requestsPerSecond: Int?

    /// The defaults.
    package init() {}
}

extension ResourceSettings {
    /// Keys at the top of the file.
    static let keys = ["memory-limit", "requests-per-second"]

    /// Reads them.
    mutating func read(_ keys: inout KeyReader) throws(ConfigurationError) {
        let size = try keys.size("memory-limit", mebibytes: 16, example: "256MiB or 1GiB")
        memoryLimit = size ?? memoryLimit
        if let entry = keys.take("requests-per-second") {
            let text = try keys.document.text(entry.value, key: "requests-per-second")
            guard let count = Int(text), count >= 0, count <= 1_000_000 else {
                throw keys.document.error(
                    entry.line,
                    "'requests-per-second' is a whole number; 0 for no ceiling"
                )
            }
            requestsPerSecond = count == 0 ? nil : count
        }
    }
}
