import Bytes
import Digests

enum Digester {
    /// The SHA-256 of a text, in hexadecimal.
    static func hex(_ text: String) -> String { Hex.string(Digest.sha256(Array(text.utf8))) }
}
