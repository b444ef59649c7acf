import COpenSSL

/// Hash functions that storage protocols ask for.
package enum DigestAlgorithm: Sendable {
    /// SHA-256.
    case sha256
    /// MD5, as `Content-MD5` wants it: against accidents, not against people.
    case md5
    /// SHA-1, as some tools name their cache files.
    case sha1

    fileprivate var function: OpaquePointer? {
        switch self {
        case .sha256: EVP_sha256()
        case .md5: EVP_md5()
        case .sha1: EVP_sha1()
        }
    }
}

/// The machine's OpenSSL does not offer an algorithm (MD5 on a FIPS host).
package struct DigestUnavailable: Error, Sendable, CustomStringConvertible {
    /// The algorithm.
    package let algorithm: DigestAlgorithm

    package var description: String {
        "OpenSSL on this machine does not offer \(algorithm)"
    }
}

/// A digest of bytes that arrive in pieces. Owns OpenSSL's context (`EVP_MD_CTX`).
package struct DigestStream: ~Copyable {
    private let context: OpaquePointer

    /// A stream that has seen nothing yet.
    package init(_ algorithm: DigestAlgorithm) throws(DigestUnavailable) {
        // OpenSSL returns nil only when the process has no memory left.
        guard let context = EVP_MD_CTX_new() else { fatalError("no memory for a digest") }
        guard EVP_DigestInit_ex(context, algorithm.function, nil) == 1 else {
            EVP_MD_CTX_free(context)
            throw DigestUnavailable(algorithm: algorithm)
        }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    /// Adds the next bytes. The C function is `EVP_DigestUpdate`.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
    }

    /// Adds the next bytes.
    package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The digest; the stream is spent. The C function is `EVP_DigestFinal_ex`.
    package consuming func finish() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { buffer, count in
            var length: UInt32 = 0
            EVP_DigestFinal_ex(context, buffer.baseAddress, &length)
            count = Int(length)
        }
    }
}

/// Digests of bytes that are all there.
package enum Digest {
    /// The SHA-256 of bytes, 32 bytes. Every OpenSSL has it.
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] { sha256([bytes]) }

    /// The SHA-256 of pieces, one after the other.
    package static func sha256(_ pieces: [[UInt8]]) -> [UInt8] {
        guard let digest = try? digest(.sha256, pieces) else {
            fatalError("OpenSSL without SHA-256")
        }
        return digest
    }

    /// The digest of pieces, one after the other.
    package static func digest(
        _ algorithm: DigestAlgorithm,
        _ pieces: [[UInt8]]
    ) throws(DigestUnavailable) -> [UInt8] {
        var stream = try DigestStream(algorithm)
        for piece in pieces { stream.update(piece) }
        return stream.finish()
    }
}
