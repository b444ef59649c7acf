import Digests

extension S3Configuration {
    /// Headers of requests that make an object.
    var storingHeaders: [(name: String, value: String)] {
        var headers = encryptionHeaders + storingExtras
        if let storageClass { headers.append((name: "x-amz-storage-class", value: storageClass)) }
        return headers
    }

    /// Headers of requests that read an object, or send a part: only the customer's key.
    var readingHeaders: [(name: String, value: String)] {
        if case .customerKey = encryption { return encryptionHeaders }
        return []
    }

    private var encryptionHeaders: [(name: String, value: String)] {
        let name = "x-amz-server-side-encryption"
        switch encryption {
        case .bucketDefault: return []
        case .storeKeys: return [(name: name, value: "AES256")]
        case .managedKey(let id):
            let key = id.map { [(name: name + "-aws-kms-key-id", value: $0)] } ?? []
            return [(name: name, value: "aws:kms")] + key
        case .customerKey(let bytes):
            let customer = name + "-customer-"
            let digest = (try? Digest.digest(.md5, [bytes])) ?? []
            return [
                (name: customer + "algorithm", value: "AES256"),
                (name: customer + "key", value: Base64.encode(bytes)),
                (name: customer + "key-MD5", value: Base64.encode(digest)),
            ]
        }
    }
}
