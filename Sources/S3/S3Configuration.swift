import HTTPTransport

/// Everything about a bucket that a user can choose. docs/S3.md describes each option.
package struct S3Configuration: Sendable {
    /// Where the bucket's name goes.
    package enum Addressing: Sendable {
        /// Into the host for Amazon and whoever needs it, where it is a valid host name.
        case automatic
        /// Into the path.
        case path
        /// Into the host.
        case virtualHost
    }

    /// How objects are encrypted by the store.
    package enum Encryption: Sendable {
        /// As the bucket says.
        case bucketDefault
        /// With the store's own keys (`AES256`).
        case storeKeys
        /// With a key of the store's key management, the default one if nil.
        case managedKey(id: String?)
        /// With a key that goes with every request: 32 bytes.
        case customerKey([UInt8])
    }

    /// The bucket's name.
    package var bucket: String
    /// What every key begins with: empty, or with a slash at its end.
    package var keyPrefix: String
    /// The endpoint, if not Amazon's.
    package var endpoint: Endpoint?
    /// The region; nil: found out.
    package var region: String?
    /// What the store does in its own way.
    package var provider: Provider
    /// Where the bucket's name goes.
    package var addressing = Addressing.automatic
    /// How objects are encrypted by the store.
    package var encryption = Encryption.bucketDefault
    /// The storage class of new objects.
    package var storageClass: String?
    /// Headers for every request, such as a provider's own.
    package var headers: [(name: String, value: String)] = []
    /// Headers for requests that make objects, such as tags or retention.
    package var storingExtras: [(name: String, value: String)] = []
    /// Whether requests go unsigned, to a public bucket.
    package var isAnonymous = false
    /// Whether bodies are left out of the signature, to save CPU. Over TLS only.
    package var leavesBodiesUnsigned = false
    /// Whether uploads carry `Content-MD5`.
    package var sendsMD5 = true
    /// Bytes of a part; nil: grows with the upload.
    package var partBytes: Int?
    /// Parts under way at once.
    package var uploadConcurrency = 3
    /// The profile in the shared configuration files.
    package var profile: String?
    /// How to connect and how long to wait.
    var http = HTTPOptions()

    /// The bucket `bucket` with everything as usual.
    package init(bucket: String, prefix: String = "", endpoint: Endpoint? = nil) {
        self.bucket = bucket
        self.endpoint = endpoint
        keyPrefix = prefix.isEmpty ? "" : prefix + "/"
        provider = endpoint.map { Provider.of(host: $0.host) } ?? .aws
    }

    /// The region to begin with.
    package var firstRegion: String { region ?? provider.region }

    /// Scheme, authority and the path that stands before keys, for requests to `region`.
    func address(region: String) -> (endpoint: Endpoint, path: String) {
        var target = endpoint ?? .aws(region: region)
        let isVirtual =
            switch addressing {
            case .path: false
            case .virtualHost: true
            case .automatic:
                (endpoint == nil || provider.usesVirtualHosts) && !target.isAddress
                    && Self.isHostLabel(bucket)
            }
        guard isVirtual else { return (target, "\(target.path)/\(bucket)") }
        target.host = "\(bucket).\(target.host)"
        return (target, target.path)
    }

    /// Whether a bucket's name can be one label of a host name: with dots the certificate would
    /// not fit.
    static func isHostLabel(_ name: String) -> Bool {
        (3...63).contains(name.utf8.count) && !name.hasPrefix("-") && !name.hasSuffix("-")
            && name.utf8.allSatisfy { byte in
                (97...122).contains(byte) || (48...57).contains(byte) || byte == 45
            }
    }
}
