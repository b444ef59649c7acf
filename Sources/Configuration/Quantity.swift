/// Lengths of time and sizes as people write them.
package enum Quantity {
    private static let durations: [(unit: String, nanoseconds: Int64)] = [
        ("ms", 1_000_000), ("us", 1000), ("µs", 1000), ("ns", 1), ("s", 1_000_000_000),
        ("m", 60_000_000_000), ("h", 3_600_000_000_000), ("d", 86_400_000_000_000),
        ("w", 604_800_000_000_000),
    ]

    /// `10s`, `1h30m`, `500ms`, `7d`, `0`: nanoseconds, or nil when it is none or over a century.
    package static func nanoseconds(_ text: String) -> Int64? {
        if text == "0" { return 0 }
        var rest = text[...]
        var total = 0.0
        var nanoseconds: Int64 = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            guard let count = Double(digits) else { return nil }
            let whole = Int64(digits)
            rest = rest.dropFirst(digits.count)
            guard let (unit, factor) = durations.first(where: { rest.hasPrefix($0.unit) }) else {
                return nil
            }
            rest = rest.dropFirst(unit.count)
            // Exactly, unless there is a point in it.
            let part = whole.map { $0.multipliedReportingOverflow(by: factor).partialValue }
            total += count * Double(factor)
            guard total <= 3.2e18 else { return nil }
            nanoseconds += part ?? Int64(count * Double(factor))
        }
        return text.isEmpty ? nil : nanoseconds
    }

    /// A length of time as `nanoseconds(_:)` reads it, in the largest units that fit.
    package static func text(nanoseconds: Int64) -> String {
        let units: [(String, Int64)] = [
            ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000),
            ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000), ("ns", 1),
        ]
        var text = ""
        var rest = nanoseconds
        for (name, length) in units where rest >= length {
            text += "\(rest / length)\(name)"
            rest %= length
        }
        return text.isEmpty ? "0" : text
    }

    /// `0600`, `0o600`: permission bits in octal, or nil for anything else. Without the zero in
    /// front a number might be meant as a decimal one.
    package static func permissions(_ text: String) -> UInt32? {
        let digits = text.hasPrefix("0o") ? text.dropFirst(2) : text.dropFirst(1)
        guard text.utf8.first == UInt8(ascii: "0"), digits.utf8.count == 3,
            digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "7")).contains($0) })
        else { return nil }
        return UInt32(digits, radix: 8)
    }

    /// Permission bits as `permissions(_:)` reads them.
    package static func text(permissions: UInt32) -> String {
        let digits = String(permissions, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
    }

    /// `5%`, `0.5%`, `100%`: thousandths, at least one, or nil when it is no share of something.
    package static func thousandths(_ text: String) -> UInt64? {
        guard text.hasSuffix("%"), let percent = Double(text.dropLast()), percent > 0,
            percent <= 100
        else { return nil }
        return max(1, UInt64((percent * 10).rounded()))
    }

    /// A share as `thousandths(_:)` reads it.
    package static func text(thousandths: UInt64) -> String {
        let (whole, tenths) = thousandths.quotientAndRemainder(dividingBy: 10)
        return tenths == 0 ? "\(whole)%" : "\(whole).\(tenths)%"
    }

    /// `256MiB`, `10GB`, `4096`: bytes, or nil when it is no size.
    package static func bytes(_ text: String) -> Int64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
        let factors: [String: Int64] = [
            "": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "kb": 1000, "m": 1 << 20,
            "mib": 1 << 20, "mb": 1_000_000, "g": 1 << 30, "gib": 1 << 30, "gb": 1_000_000_000,
            "t": 1 << 40, "tib": 1 << 40, "tb": 1_000_000_000_000,
        ]
        guard let count = Int64(digits), let factor = factors[unit] else { return nil }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: factor)
        return overflow ? nil : bytes
    }
}
