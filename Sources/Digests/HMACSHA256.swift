import COpenSSL

/// Keyed digests with SHA-256 (RFC 2104).
package enum HMACSHA256 {
    /// The 32-byte code of `message` under `key`. The C function is `HMAC`.
    package static func code(key: [UInt8], message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
            var length: UInt32 = 0
            let done = HMAC(
                EVP_sha256(),
                key,
                Int32(key.count),
                message,
                message.count,
                buffer.baseAddress,
                &length
            )
            precondition(done != nil && length == 32, "OpenSSL without HMAC-SHA-256")
            count = 32
        }
    }

    /// The code of a text's UTF-8.
    package static func code(key: [UInt8], message: String) -> [UInt8] {
        code(key: key, message: Array(message.utf8))
    }
}
