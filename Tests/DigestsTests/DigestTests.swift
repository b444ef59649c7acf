import Bytes
import Digests
import Testing

@Suite struct DigestTests {
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ])
    func `SHA-256 as FIPS 180-4 has it`(text: String, digest: String) {
        #expect(Hex.string(Digest.sha256(Array(text.utf8))) == digest)
        #expect(Hex.string(Digest.sha256(text.utf8.map { [$0] })) == digest)
    }

    @Test func `MD5 as RFC 1321 has it`() throws {
        let digest = try Digest.digest(.md5, [Array("message digest".utf8)])
        #expect(Hex.string(digest) == "f96b697d7cb7938d525a2f31aaf161d0")
        let sha1 = try Digest.digest(.sha1, [Array("abc".utf8)])
        #expect(Hex.string(sha1) == "a9993e364706816aba3e25717850c26c9cd0d89d")
    }

    @Test func `HMAC-SHA-256 as RFC 4231 has it`() {
        let code = HMACSHA256.code(
            key: Array("Jefe".utf8),
            message: "what do ya want for nothing?"
        )
        #expect(
            Hex.string(code) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        )
        let long = HMACSHA256.code(
            key: [UInt8](repeating: 0xaa, count: 131),
            message: "Test Using Larger Than Block-Size Key - Hash Key First"
        )
        #expect(
            Hex.string(long) == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        )
        #expect(HMACSHA256.code(key: [], message: "").count == 32)
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func `Base64 as RFC 4648 has it`(plain: String, encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Array(plain.utf8))
    }

    @Test(arguments: ["Z", "Zg=", "Zg=a", "Z===", "Zm9v!m9v", "Zg==Zg=="])
    func `what is no Base64`(text: String) { #expect(Base64.decode(text) == nil) }
}
