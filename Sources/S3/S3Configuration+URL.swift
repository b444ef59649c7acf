import Bytes
import Digests
import HTTPTransport
package import ObjectStorage

extension S3Configuration {
    /// The configuration that a URL and the environment describe.
    ///
    /// - Throws: `invalid` for an option that does not exist or a value that makes no sense.
    package init(
        _ url: BucketURL,
        environment: [String: String]
    ) throws(StoreError) {
        let (bucket, endpoint, region) = Self.place(in: url.bucket)
        self.init(bucket: bucket, prefix: url.prefix, endpoint: endpoint)
        self.region = region
        var reader = OptionReader(url: url)
        for option in url.options { try apply(option, &reader) }
        try finish(&reader, environment)
    }

    /// Bucket, endpoint and region of a host such as `bucket.s3.fr-par.scw.cloud`.
    private static func place(in host: String) -> (String, Endpoint?, String?) {
        let name = host.prefix { $0 != ":" }
        let port = host[name.endIndex...]
        if name.hasSuffix(".localhost") {
            let bucket = String(name.dropLast(".localhost".count))
            return (bucket, Endpoint("http://localhost\(port)"), nil)
        }
        for provider in Provider.table {
            guard let ending = provider.bucketHostEnding, name.hasSuffix(ending) else { continue }
            var labels = name.dropLast(ending.count).split(separator: ".")
            guard labels.count >= 2, let region = labels.popLast() else { continue }
            let s3 = labels.last == "s3" ? "s3." : ""
            if !s3.isEmpty { labels.removeLast() }
            let bucket = labels.joined(separator: ".")
            return (bucket, Endpoint("https://\(s3)\(region)\(ending)\(port)"), String(region))
        }
        return (host, nil, nil)
    }

    private mutating func apply(
        _ option: BucketURL.Option,
        _ reader: inout OptionReader
    ) throws(StoreError) {
        switch option.name.filter({ $0 != "-" && $0 != "_" }).lowercased() {
        case "endpoint":
            guard let endpoint = Endpoint(option.value) else {
                throw reader.invalid(option, "write http://host:port or https://host")
            }
            self.endpoint = endpoint
            provider = Provider.of(host: endpoint.host)
        case "region": region = option.value.isEmpty ? nil : option.value
        case "forcepathstyle":
            addressing = try reader.flag(option) ? .path : .virtualHost
        case "skipverify": http.verifiesTLS = !(try reader.flag(option))
        case "cabundle", "cafile": http.authorityFile = option.value
        case "capath": http.authorityFolder = option.value
        case "clientcert": http.clientCertificate = option.value
        case "clientkey": http.clientKey = option.value
        case "proxy": http.proxy = option.value == "none" ? .none : .url(option.value)
        case "connecttimeout":
            http.connectMilliseconds = try reader.number(option, 1...600) * 1000
        case "timeout":
            http.lowSpeedSeconds = try reader.number(option, 1...3600)
            http.firstByteMilliseconds = http.lowSpeedSeconds * 1000
        case "storageclass": storageClass = option.value
        case "partsize":
            partBytes = try reader.bytes(option, Limits.partBytesMin...Limits.partBytesMax)
        case "concurrency": uploadConcurrency = try reader.number(option, 1...64)
        case "profile": profile = option.value
        case "anonymous": isAnonymous = try reader.flag(option)
        case "signpayload": leavesBodiesUnsigned = !(try reader.flag(option))
        case "requirecontentmd5": sendsMD5 = try reader.flag(option)
        case "header": headers.append(try reader.header(option))
        case "expectcontinue": http.asksBeforeLargeBodies = try reader.flag(option)
        case "putheader": storingExtras.append(try reader.header(option))
        case "sse": reader.encryption = option.value
        case "ssekmskeyid": reader.managedKey = option.value
        case "ssecustomeralgorithm":
            guard option.value.uppercased() == "AES256" else {
                throw reader.invalid(option, "the algorithm is AES256")
            }
        case "ssecustomerkey": reader.customerKey = option.value
        case "ssecustomerkeymd5": break
        default:
            throw reader.invalid(option, "there is no such option; docs/S3.md lists them")
        }
    }

    private mutating func finish(
        _ reader: inout OptionReader,
        _ environment: [String: String]
    ) throws(StoreError) {
        func variable(_ names: String...) -> String? {
            names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        }
        if endpoint == nil, let text = variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") {
            guard let endpoint = Endpoint(text) else {
                throw reader.invalid("AWS_ENDPOINT_URL '\(text)' is no URL")
            }
            self.endpoint = endpoint
            provider = Provider.of(host: endpoint.host)
        }
        region = region ?? variable("AWS_REGION", "AWS_DEFAULT_REGION")
        if region == nil, provider.hasRegions, let endpoint {
            // s3.eu-central-1.amazonaws.com names its region.
            let labels = endpoint.host.split(separator: ".")
            if labels.count >= 4, labels[0] == "s3" { region = String(labels[1]) }
        }
        if http.authorityFile == nil, http.authorityFolder == nil {
            http.authorityFile = variable("AWS_CA_BUNDLE", "SSL_CERT_FILE")
            http.authorityFolder = variable("SSL_CERT_DIR")
        }
        if leavesBodiesUnsigned, endpoint?.isSecure == false {
            throw reader.invalid("sign-payload=false needs https: the body would be unprotected")
        }
        encryption = try reader.encryptionChosen(environment)
        if case .customerKey = encryption, endpoint?.isSecure == false, endpoint?.isLoopback != true
        {
            throw reader.invalid("sse-customer-key needs https: the key goes with every request")
        }
        guard !bucket.hasPrefix("arn:") else {
            throw reader.invalid("write the access point's alias instead of its ARN")
        }
        let name = bucket.utf8
        guard (1...255).contains(name.count),
            name.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") })
        else { throw reader.invalid("'\(bucket)' is not a bucket's name") }
    }
}

/// Reads the values of options.
private struct OptionReader {
    let url: BucketURL
    var encryption: String?
    var managedKey: String?
    var customerKey: String?

    init(url: BucketURL) { self.url = url }

    func invalid(_ message: String) -> StoreError {
        StoreError(.invalid, .open, object: url.description, message)
    }

    func invalid(_ option: BucketURL.Option, _ message: String) -> StoreError {
        let value = BucketURL.isSecret(option.name) ? "***" : option.value
        return invalid("option \(option.name)=\(value): \(message)")
    }

    func flag(_ option: BucketURL.Option) throws(StoreError) -> Bool {
        switch option.value.lowercased() {
        case "true", "1", "t", "yes", "": true
        case "false", "0", "f", "no": false
        default: throw invalid(option, "write true or false")
        }
    }

    func number(
        _ option: BucketURL.Option,
        _ range: ClosedRange<Int>
    ) throws(StoreError) -> Int {
        guard let value = Int(option.value), range.contains(value) else {
            throw invalid(option, "write a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func bytes(
        _ option: BucketURL.Option,
        _ range: ClosedRange<Int>
    ) throws(StoreError) -> Int {
        let digits = option.value.prefix { $0.isNumber }
        let unit = option.value[digits.endIndex...].lowercased()
        let factors = [
            "": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "m": 1 << 20,
            "mb": 1 << 20, "mib": 1 << 20, "g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30,
        ]
        guard let count = Int(digits), count <= range.upperBound, let factor = factors[unit],
            range.contains(count * factor)
        else {
            throw invalid(
                option,
                "write a size from \(range.lowerBound >> 20)MiB to \(range.upperBound >> 20)MiB"
            )
        }
        return count * factor
    }

    func header(_ option: BucketURL.Option) throws(StoreError) -> (name: String, value: String) {
        let sides = option.value.split(separator: ":", maxSplits: 1)
        let name = sides.first.map(String.init) ?? ""
        let value = sides.count == 2 ? String(sides[1].drop { $0 == " " }) : ""
        let isToken = !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
        guard isToken, value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }), !value.isEmpty else {
            throw invalid(option, "write header=Name:value")
        }
        let reserved = ["host", "authorization", "content-length", "transfer-encoding", "expect"]
        guard !reserved.contains(name.lowercased()) else {
            throw invalid(option, "this header is the client's own")
        }
        return (name, value)
    }

    func encryptionChosen(
        _ environment: [String: String]
    ) throws(StoreError) -> S3Configuration.Encryption {
        let key = customerKey ?? environment["HIGHWATER_SSE_CUSTOMER_KEY"]
        if let key, !key.isEmpty {
            guard let bytes = Base64.decode(key), bytes.count == 32 else {
                throw invalid("the customer key is 32 bytes in Base64")
            }
            return .customerKey(bytes)
        }
        switch encryption {
        case nil where managedKey != nil, "aws:kms": return .managedKey(id: managedKey)
        case nil, "", "none": return .bucketDefault
        case "AES256": return .storeKeys
        default: throw invalid("sse is none, AES256 or aws:kms")
        }
    }
}
