/// Base64 with padding (RFC 4648 §4), as HTTP headers carry digests.
package enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
    )

    /// The text of `bytes`.
    package static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits: UInt32 = 0
            for byte in group { bits = bits << 8 | UInt32(byte) }
            bits <<= UInt32(3 - group.count) * 8
            for position in 0..<4 {
                let isPadding = position > group.count
                let index = Int(bits >> UInt32(18 - position * 6) & 0x3f)
                text.append(isPadding ? UInt8(ascii: "=") : alphabet[index])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of a text with padding; nil when it is no Base64.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let characters = Array(text.utf8)
        guard characters.count % 4 == 0 else { return nil }
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: characters.count, by: 4) {
            let isLast = start + 4 == characters.count
            var bits: UInt32 = 0
            var padding = 0
            for character in characters[start..<start + 4] {
                if isLast, character == UInt8(ascii: "=") {
                    padding += 1
                    bits <<= 6
                } else {
                    guard padding == 0, let value = alphabet.firstIndex(of: character) else {
                        return nil
                    }
                    bits = bits << 6 | UInt32(value)
                }
            }
            guard padding <= 2 else { return nil }
            let group = [UInt8(bits >> 16), UInt8(bits >> 8 & 0xff), UInt8(bits & 0xff)]
            bytes += group.prefix(3 - padding)
        }
        return bytes
    }
}
