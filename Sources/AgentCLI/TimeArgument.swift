import ArgumentParser
import Bytes

/// A time as users write it: RFC 3339 with a zone, or how long ago.
enum TimeArgument {
    /// The time that `text` means at the time `now`.
    static func parse(_ text: String, now: Timestamp) throws(ValidationError) -> Timestamp {
        if let time = Timestamp(rfc3339: text) { return time }
        if let milliseconds = ago(text) {
            return Timestamp(milliseconds: now.milliseconds - milliseconds)
        }
        if Timestamp(rfc3339: text + "Z") != nil {
            throw ValidationError(
                "The time '\(text)' has no zone, so it may mean several moments: write "
                    + "'\(text)Z' for UTC, or an offset as in '\(text)+02:00'."
            )
        }
        throw ValidationError(
            "'\(text)' is not a time: write RFC 3339 with a zone, as in 2026-11-24T12:03:00Z, or "
                + "how long ago, as in 5m, 1h30m or '2 days ago'."
        )
    }

    private static let units: [(names: [String], milliseconds: Int64)] = [
        (["ms"], 1), (["s", "sec", "second", "seconds"], 1000),
        (["m", "min", "minute", "minutes"], 60_000), (["h", "hour", "hours"], 3_600_000),
        (["d", "day", "days"], 86_400_000), (["w", "week", "weeks"], 604_800_000),
    ]

    /// Milliseconds in `5m`, `1h30m`, `2 days ago`; nil for anything else.
    private static func ago(_ text: String) -> Int64? {
        var rest = Substring(text.lowercased())
        if rest.hasSuffix("ago") { rest = rest.dropLast(3) }
        var total: Int64 = 0
        var isEmpty = true
        while let next = rest.first(where: { $0 != " " }) {
            rest = rest.drop { $0 == " " }
            guard next.isNumber else { return nil }
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count).drop { $0 == " " }
            let name = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(name.count)
            guard digits.count <= 9, let count = Int64(digits),
                let unit = units.first(where: { $0.names.contains(String(name)) })
            else { return nil }
            total += count * unit.milliseconds
            isEmpty = false
        }
        return isEmpty ? nil : total
    }
}

/// A number of bytes as users write it: `256MiB`, `1G`, `1048576`.
enum ByteCountArgument {
    /// The number that `text` means; a letter alone counts in powers of 1024, as `MiB` does.
    static func parse(_ text: String) throws(ValidationError) -> Int {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
        let factors: [String: Int] = [
            "": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "kb": 1000, "m": 1 << 20,
            "mib": 1 << 20, "mb": 1_000_000, "g": 1 << 30, "gib": 1 << 30, "gb": 1_000_000_000,
        ]
        guard digits.count <= 12, let count = Int(digits), let factor = factors[unit],
            case let (bytes, overflow) = count.multipliedReportingOverflow(by: factor), !overflow
        else {
            throw ValidationError("'\(text)' is not a number of bytes, as in 256MiB or 1G.")
        }
        return bytes
    }
}
