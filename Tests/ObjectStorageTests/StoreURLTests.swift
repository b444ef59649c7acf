import ObjectStorage
import Testing

@Suite struct StoreURLTests {
    @Test(arguments: [
        ("file:///var/backups", "/var/backups"),
        ("file:///var//backups/./x/", "/var/backups/x"),
        ("FILE://localhost/a", "/a"),
        ("file:///a%20b%3F", "/a b?"),
        ("file:///a b", "/a b"), ("file:////\u{301}b", "/\u{301}b"),
    ])
    func `folders`(text: String, path: String) throws {
        let url = try StoreURL.parse(text)
        #expect(url == .folder(path: path))
        #expect(try StoreURL.parse(url.description) == url)
    }

    @Test(arguments: [
        ("gs://bucket/prefix", StoreError.Code.unsupported, "file:///absolute/path"),
        ("s3://", .invalid, "bucket's name"),
        ("s3://key:secret@bucket/x", .invalid, "AWS_ACCESS_KEY_ID"),
        ("s3://bucket/a/../b", .invalid, "'..'"),
        ("s3://bucket/a%0ab", .invalid, "control"),
        ("s3://bucket/a?=x", .invalid, "name=value"),
        ("ftp://host/x", .unsupported, "'ftp'"),
        ("file://relative/path", .invalid, "three slashes"),
        ("file:///", .invalid, "root folder"),
        ("file:///a/../b", .invalid, ".."),
        ("file:///a/../\u{301}b", .invalid, ".."),
        ("s3://a%40b/x", .invalid, "bucket's name"),
        ("s3://a%25b/x", .invalid, "bucket's name"),
        ("s3://a%2Fb/x", .invalid, "bucket's name"),
        ("file:///a?b=c", .invalid, "%3F"),
        ("file:///a%zz", .invalid, "hexadecimal"),
        ("file:///a%+1", .invalid, "hexadecimal"),
        ("file:///a%00", .invalid, "%"),
        ("file:///a%ff", .invalid, "%"),
        ("/var/backups", .invalid, "file:///var/backups"),
        ("", .invalid, "file:///"),
    ])
    func `what is no URL of ours`(text: String, code: StoreError.Code, hint: String) {
        let error = #expect(throws: StoreError.self) { try StoreURL.parse(text) }
        #expect(error?.code == code)
        #expect(error?.description.contains(hint) == true)
    }
}
