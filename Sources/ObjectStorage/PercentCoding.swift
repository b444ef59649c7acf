/// The percent-encoding of URLs that users write.
enum PercentCoding {
    /// The text of an encoded one; nil when a `%` is not followed by two hexadecimal digits or the
    /// bytes are not UTF-8.
    static func decode(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2,
                let pair = String(validating: rest.prefix(2), as: UTF8.self),
                pair.allSatisfy(\.isHexDigit), let value = UInt8(pair, radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The text with those characters encoded that would end a path or a value.
    static func encode(_ text: String, also others: String = "") -> String {
        var encoded = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "%": encoded += "%25"
            case "?": encoded += "%3F"
            case "#": encoded += "%23"
            case "&" where others.contains("&"): encoded += "%26"
            case "=" where others.contains("="): encoded += "%3D"
            case "+" where others.contains("+"): encoded += "%2B"
            default: encoded.unicodeScalars.append(scalar)
            }
        }
        return encoded
    }
}
