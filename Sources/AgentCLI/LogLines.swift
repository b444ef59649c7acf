import Bytes
import FoundationEssentials
import ObjectStorage
import Platform
import Replication

/// Log lines on standard error: time, level, message, values; as text or as JSON.
struct LogLines: Sendable {
    static let levels = ["debug": 0, "info": 1, "warning": 2, "error": 3]
    let minimum: Int
    var isJSON = false

    /// A level by its usual name.
    static func usual(_ name: String) -> String {
        ["trace": "debug", "warn": "warning"][name.lowercased()] ?? name.lowercased()
    }

    var function: ReplicationLog {
        { level, message, values in
            let (name, rank) =
                switch level {
                case .debug: ("debug", 0)
                case .info: ("info", 1)
                case .warning: ("warning", 2)
                case .error: ("error", 3)
                }
            guard rank >= minimum else { return }
            StandardError.write(
                isJSON ? Self.json(name, message, values) : Self.text(name, message, values)
            )
        }
    }

    private static func text(
        _ level: String,
        _ message: String,
        _ values: [(String, String)]
    ) -> String {
        let pairs = values.map { " \($0.0)=\(quoted($0.1))" }.joined()
        return "\(Timestamp.now) \(level) \(message)\(pairs)\n"
    }

    private static func json(
        _ level: String,
        _ message: String,
        _ values: [(String, String)]
    ) -> String {
        var line = ["time": "\(Timestamp.now)", "level": level, "msg": message]
        // A value never hides what a line says of itself.
        for (key, value) in values where line[key] == nil { line[key] = value }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let bytes = try? encoder.encode(line) else { return text(level, message, values) }
        return String(decoding: bytes, as: UTF8.self) + "\n"
    }

    private static func quoted(_ value: String) -> String {
        let needsQuotes = value.isEmpty || value.contains { " \"=\n".contains($0) }
        guard needsQuotes else { return value }
        return "\""
            + value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            .replacing("\n", with: "\\n") + "\""
    }
}

extension LogLines {
    /// Lines of a store.
    var storeLog: StoreLog {
        { level, message, values in
            switch level {
            case .debug: function(.debug, message, values)
            case .info: function(.info, message, values)
            case .warning: function(.warning, message, values)
            }
        }
    }
}
