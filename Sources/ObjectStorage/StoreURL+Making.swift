/// Places that are put together instead of parsed.
extension StoreURL {
    /// A place in a bucket; `prefix` is plain text, not percent-encoded.
    ///
    /// - Throws: `invalid` when the bucket has no name or the prefix cannot be part of a key.
    package static func bucket(
        named name: String,
        prefix: String,
        options: [BucketURL.Option] = []
    ) throws(StoreError) -> StoreURL {
        let parts = prefix.split(separator: "/").joined(separator: "/")
        guard !name.isEmpty, !name.contains("/") else {
            throw StoreError(.invalid, .open, object: name, "this is not a bucket's name")
        }
        guard parts.isEmpty || ObjectKey(parts) != nil else {
            throw StoreError(
                .invalid,
                .open,
                object: prefix,
                "a prefix must not contain '.' or '..' as a part, or control characters"
            )
        }
        return .bucket(BucketURL(bucket: name, prefix: parts, options: options))
    }

    /// A folder; `path` is plain text from the root, not percent-encoded.
    ///
    /// - Throws: `invalid` when the path is not one from the root or leaves its folder.
    package static func folder(at path: String) throws(StoreError) -> StoreURL {
        let parts = path.split(separator: "/").filter { $0 != "." }
        guard path.hasPrefix("/"), !parts.isEmpty, !parts.contains(".."), !path.utf8.contains(0)
        else {
            throw StoreError(
                .invalid,
                .open,
                object: path,
                "a folder for backups is an absolute path without '..'"
            )
        }
        return .folder(path: "/" + parts.joined(separator: "/"))
    }

    /// A place below this one; `path` is plain text, not percent-encoded.
    ///
    /// - Throws: `invalid` when `path` leaves this place or cannot be part of a key.
    package func appending(_ path: String) throws(StoreError) -> StoreURL {
        switch self {
        case .folder(let folder): try .folder(at: folder + "/" + path)
        case .bucket(let url):
            try .bucket(
                named: url.bucket,
                prefix: url.prefix + "/" + path,
                options: url.options
            )
        }
    }

    /// The place with options that it does not have yet; a folder has none.
    package func adding(_ options: [BucketURL.Option]) -> StoreURL {
        guard case .bucket(let url) = self else { return self }
        var names = Set(url.options.map { Self.plain($0.name) })
        let added = options.filter { names.insert(Self.plain($0.name)).inserted }
        return .bucket(
            BucketURL(bucket: url.bucket, prefix: url.prefix, options: url.options + added)
        )
    }

    /// Two URLs with the same value lead to the same objects, whatever else they say.
    package var location: String {
        switch self {
        case .folder(let path): return "file://\(path)"
        case .bucket(let url):
            let endpoint = url.options.last { Self.plain($0.name) == "endpoint" }?.value ?? ""
            return "s3://\(endpoint)/\(url.bucket)/\(url.prefix)"
        }
    }

    private static func plain(_ name: String) -> String {
        name.filter { $0 != "-" && $0 != "_" }.lowercased()
    }
}
