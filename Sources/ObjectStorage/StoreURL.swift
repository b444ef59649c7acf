/// Where a user keeps backups.
package enum StoreURL: Hashable, Sendable, CustomStringConvertible {
    /// A local folder, by its absolute path without a slash at the end.
    case folder(path: String)
    /// A place in a bucket.
    case bucket(BucketURL)

    /// The place that `text` names.
    ///
    /// - Throws: `unsupported` for another kind of store, `invalid` for anything that is no URL of
    ///   a known kind; the message says what was expected.
    package static func parse(_ text: String) throws(StoreError) -> StoreURL {
        guard let colon = text.firstRange(of: "://") else {
            throw failure(
                .invalid,
                text,
                text.hasPrefix("/")
                    ? "this is a path, not a URL; write file://\(text)"
                    : "this is not a URL; write file:///absolute/path or s3://bucket/prefix"
            )
        }
        let scheme = text[..<colon.lowerBound].lowercased()
        let rest = text[colon.upperBound...]
        switch scheme {
        case "file": return try folder(rest, of: text)
        case "s3": return .bucket(try BucketURL.parse(rest, of: text))
        case "gs", "gcs", "abs", "sftp", "nats", "webdav", "webdavs", "oss":
            throw failure(
                .unsupported,
                text,
                "this version stores backups in folders (file:///absolute/path) and S3 buckets"
                    + " (s3://bucket/prefix); \(scheme):// is not supported"
            )
        default:
            throw failure(
                .unsupported,
                text,
                "'\(scheme)' is not a kind of store; write file:///absolute/path or"
                    + " s3://bucket/prefix"
            )
        }
    }

    package var description: String {
        switch self {
        case .folder(let path): "file://" + PercentCoding.encode(path)
        case .bucket(let url): url.description
        }
    }

    private static func failure(
        _ code: StoreError.Code,
        _ text: String,
        _ message: String
    ) -> StoreError {
        StoreError(code, .open, object: BucketURL.redacted(text), message)
    }

    private static func folder(
        _ rest: Substring,
        of text: String
    ) throws(StoreError) -> StoreURL {
        var raw = rest
        // By bytes, as the kernel does it (see ObjectKey).
        if raw.utf8.starts(with: "localhost/".utf8) { raw = raw.dropFirst("localhost".count) }
        guard raw.utf8.first == UInt8(ascii: "/") else {
            throw failure(
                .invalid,
                text,
                "file:// takes an absolute path, so three slashes: file:///absolute/path"
            )
        }
        guard !raw.contains(where: { $0 == "?" || $0 == "#" }) else {
            throw failure(
                .invalid,
                text,
                "file:// takes no options; write a '?' in a path as %3F and a '#' as %23"
            )
        }
        guard let decoded = PercentCoding.decode(raw), !decoded.utf8.contains(0) else {
            throw failure(.invalid, text, "a '%' must be followed by two hexadecimal digits")
        }
        let parts = decoded.utf8.split(separator: UInt8(ascii: "/")).map { String(Substring($0)) }
        guard !parts.contains("..") else {
            throw failure(.invalid, text, "the path must not contain '..'")
        }
        let path = "/" + parts.filter { $0 != "." }.joined(separator: "/")
        guard path != "/" else {
            throw failure(.invalid, text, "the root folder is no place for backups; name a folder")
        }
        return .folder(path: path)
    }
}
