/// Fixed-width lower-case hexadecimal numbers, as key names and identifiers use them.
package enum Hex {
    /// `value` in exactly `digits` lower-case digits; higher digits are cut off.
    package static func string(_ value: UInt64, digits: Int) -> String {
        let all = String(value, radix: 16)
        let padded = String(repeating: "0", count: max(0, digits - all.utf8.count)) + all
        return String(padded.suffix(digits))
    }

    /// Two digits for each byte.
    package static func string(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(bytes.underestimatedCount * 2)
        for byte in bytes {
            text.append(digit(byte >> 4))
            text.append(digit(byte & 15))
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? value + UInt8(ascii: "0") : value - 10 + UInt8(ascii: "a")
    }

    /// The number in exactly `digits` hexadecimal digits (at most 16), or nil.
    package static func parse(_ text: some StringProtocol, digits: Int) -> UInt64? {
        guard text.utf8.count == digits, digits <= 16 else { return nil }
        var value: UInt64 = 0
        for byte in text.utf8 {
            let digit: UInt8
            switch byte {
            case 48...57: digit = byte - 48
            case 97...102: digit = byte - 97 + 10
            case 65...70: digit = byte - 65 + 10
            default: return nil
            }
            value = value << 4 | UInt64(digit)
        }
        return value
    }
}
