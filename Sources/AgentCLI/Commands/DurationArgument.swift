import ArgumentParser
import Glibc

/// A length of time as users write it: `90s`, `30m`, `36h`, `7d`, `2w`, and sums like `1h30m`.
enum DurationArgument {
    private static let units: [Character: Int64] = [
        "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
    ]

    /// The length in milliseconds.
    static func milliseconds(
        _ text: String,
        option: String
    ) throws(ValidationError) -> Int64 {
        var total: Int64 = 0
        var digits = ""
        for character in text {
            if character.isASCII, character.isNumber {
                digits.append(character)
                continue
            }
            guard let unit = units[character], let count = Int64(digits),
                count <= Int64(1) << 40 / unit
            else { throw invalid(text, option) }
            total += count * unit
            digits = ""
        }
        guard digits.isEmpty, !text.isEmpty else { throw invalid(text, option) }
        return total
    }

    private static func invalid(_ text: String, _ option: String) -> ValidationError {
        ValidationError("\(option) takes a length of time like 36h, 7d or 2w, not '\(text)'.")
    }
}

/// This machine's name.
enum HostName {
    static var current: String {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, 255)
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
