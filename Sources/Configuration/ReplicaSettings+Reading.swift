import ObjectStorage

/// What holds for each replica unless it says otherwise.
struct ReplicaDefaults {
    var credentials: ReplicaCredentials?
    var syncInterval: Int64 = 1_000_000_000
    /// Options of a bucket's URL.
    var options: [BucketURL.Option] = []

    /// Keys of a replica that are options of a bucket's URL.
    private static let optionKeys = [
        "endpoint", "region", "force-path-style", "skip-verify", "sign-payload", "part-size",
        "concurrency", "storage-class", "sse", "sse-kms-key-id", "sse-customer-algorithm",
        "sse-customer-key", "profile", "ca-bundle", "proxy", "require-content-md5",
    ]

    /// Keys that may stand at the top of the file, too.
    static let keys =
        ["access-key-id", "secret-access-key", "session-token", "sync-interval"] + optionKeys
    /// Keys of a replica.
    static let replicaKeys =
        ["name", "type", "url", "bucket", "path", "validation-interval"] + keys
    /// Keys of a replica that are Litestream's and mean nothing here.
    static let foreignKeys = [
        "retention", "retention-check-interval", "snapshot-interval", "auto-recover",
        "age", "user-agent", "max-sync-ltx-files", "sse-customer-key-path",
    ]

    /// Reads what may stand at the top of the file.
    mutating func read(_ keys: inout KeyReader) throws(ConfigurationError) {
        credentials = try Self.credentials(&keys) ?? credentials
        options = try Self.options(&keys)
        syncInterval = try keys.duration("sync-interval") ?? syncInterval
    }

    private static func options(
        _ keys: inout KeyReader
    ) throws(ConfigurationError) -> [BucketURL.Option] {
        var options: [BucketURL.Option] = []
        for key in optionKeys {
            if let value = try keys.text(key) { options.append(BucketURL.Option(key, value)) }
        }
        return options
    }

    private static func credentials(
        _ keys: inout KeyReader
    ) throws(ConfigurationError) -> ReplicaCredentials? {
        let name = try keys.text("access-key-id")
        let secret = try keys.text("secret-access-key")
        let token = try keys.text("session-token")
        switch (name, secret) {
        case (nil, nil): return nil
        case (let name?, let secret?):
            return ReplicaCredentials(accessKeyID: name, secret: secret, sessionToken: token)
        default:
            throw keys.document.error(
                keys.line,
                "'access-key-id' and 'secret-access-key' go together"
            )
        }
    }

    /// Reads one replica.
    func replica(_ keys: inout KeyReader) throws(ConfigurationError) -> ReplicaSettings {
        let line = keys.line
        let place = try Self.place(&keys)
        let own = try Self.options(&keys)
        keys.ignore(Self.foreignKeys)
        return ReplicaSettings(
            name: try keys.text("name") ?? "",
            place: place.adding(own).adding(options),
            line: line,
            credentials: try Self.credentials(&keys) ?? credentials,
            syncInterval: try keys.duration("sync-interval") ?? syncInterval
        )
    }

    /// A replica that is only a URL: `replica: s3://…` is short for `replica: {url: s3://…}`.
    func replica(url: String, line: Int, _ document: DocumentContext) throws(ConfigurationError)
        -> ReplicaSettings
    {
        let place = try Self.checked(line, document) { () throws(StoreError) in
            try StoreURL.parse(url)
        }
        return ReplicaSettings(
            place: place.adding(options),
            line: line,
            credentials: credentials,
            syncInterval: syncInterval
        )
    }

    private static func place(_ keys: inout KeyReader) throws(ConfigurationError) -> StoreURL {
        let (line, document) = (keys.line, keys.document)
        let url = try keys.text("url")
        let kind = try keys.text("type")
        let bucket = try keys.text("bucket")
        let path = try keys.text("path")
        switch (url, kind) {
        case (let url?, _):
            return try checked(line, document) { () throws(StoreError) in
                let place = try StoreURL.parse(url)
                return try path.map { path throws(StoreError) in try place.appending(path) }
                    ?? place
            }
        case (nil, "s3"?):
            guard let bucket else {
                throw document.error(line, "a replica of type s3 needs 'bucket'")
            }
            return try checked(line, document) { () throws(StoreError) in
                try StoreURL.bucket(named: bucket, prefix: path ?? "")
            }
        case (nil, nil), (nil, "file"?):
            guard let path, path.hasPrefix("/") else {
                throw document.error(
                    line,
                    "a replica needs 'url', as in s3://bucket/prefix or file:///srv/backup"
                )
            }
            return try checked(line, document) { () throws(StoreError) in
                try StoreURL.folder(at: path)
            }
        case (nil, let kind?):
            try check(type: kind, line: line, document)
            throw document.error(line, "a replica needs 'url'")
        }
    }

    /// Refuses a type of store that there is not.
    static func check(
        type: String,
        line: Int,
        _ document: DocumentContext
    ) throws(ConfigurationError) {
        guard ["s3", "file"].contains(type) else {
            throw document.error(
                line,
                "stores of type '\(type)' are not supported; use s3 or file"
            )
        }
    }

    private static func checked(
        _ line: Int,
        _ document: DocumentContext,
        _ body: () throws(StoreError) -> StoreURL
    ) throws(ConfigurationError) -> StoreURL {
        do throws(StoreError) { return try body() } catch {
            throw document.error(line, "\(error)")
        }
    }
}
