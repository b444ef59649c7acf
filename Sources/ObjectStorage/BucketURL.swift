/// `s3://bucket/prefix?option=value&…`: a place in a bucket. The options mean something to the
/// store alone; docs/S3.md lists them.
package struct BucketURL: Hashable, Sendable, CustomStringConvertible {
    /// One option.
    package struct Option: Hashable, Sendable {
        /// The name as the user wrote it.
        package let name: String
        /// The value.
        package let value: String

        /// An option.
        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The bucket's name, or a host that tells it (`bucket.s3.fr-par.scw.cloud`).
    package let bucket: String
    /// What every key begins with, without a slash at either end; may be empty.
    package let prefix: String
    /// The options in their order.
    package let options: [Option]

    /// A place in a bucket.
    package init(bucket: String, prefix: String = "", options: [Option] = []) {
        self.bucket = bucket
        self.prefix = prefix
        self.options = options
    }

    /// The URL. Values of options that may be secret are left out, so that it can be shown.
    package var description: String {
        var text = "s3://\(bucket)"
        if !prefix.isEmpty { text += "/" + PercentCoding.encode(prefix) }
        let shown = options.map { option in
            let value =
                Self.isSecret(option.name)
                ? "***" : PercentCoding.encode(option.value, also: "&+")
            return PercentCoding.encode(option.name, also: "&=") + "=" + value
        }
        return shown.isEmpty ? text : text + "?" + shown.joined(separator: "&")
    }

    /// Whether the value of an option of this name is not for others' eyes.
    package static func isSecret(_ name: String) -> Bool {
        let plain = name.lowercased().filter { $0 != "-" && $0 != "_" }
        return ["secret", "token", "password", "customerkey", "credential"].contains {
            plain.contains($0)
        } && !plain.hasSuffix("md5")
    }

    /// The place that `rest`, the text after `s3://`, names.
    static func parse(_ rest: Substring, of text: String) throws(StoreError) -> BucketURL {
        let shown = redacted(text)
        func invalid(_ message: String) -> StoreError {
            StoreError(.invalid, .open, object: shown, message)
        }
        guard !rest.contains("#") else { throw invalid("write a '#' in a URL as %23") }
        let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let place = parts[0].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard !place[0].contains("@") else {
            throw invalid(
                "credentials do not belong into a URL; set AWS_ACCESS_KEY_ID and"
                    + " AWS_SECRET_ACCESS_KEY, or see docs/S3.md"
            )
        }
        guard let bucket = PercentCoding.decode(place[0]), !bucket.isEmpty else {
            throw invalid("the bucket's name is missing; write s3://bucket/prefix")
        }
        guard !bucket.utf8.contains(where: { "/@?#%".utf8.contains($0) || $0 < 0x21 }) else {
            throw invalid("the bucket's name has a character that no bucket's name has")
        }
        guard let path = PercentCoding.decode(place.count > 1 ? place[1] : "") else {
            throw invalid("a '%' must be followed by two hexadecimal digits")
        }
        let prefix = path.split(separator: "/").joined(separator: "/")
        guard prefix.isEmpty || ObjectKey(prefix) != nil else {
            throw invalid(
                "the prefix must not contain '.' or '..' as a part, or control characters"
            )
        }
        var options: [Option] = []
        for pair in parts.count > 1 ? parts[1].split(separator: "&") : [] {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentCoding.decode(sides[0]), !name.isEmpty,
                let value = PercentCoding.decode(sides.count > 1 ? sides[1] : "")
            else { throw invalid("an option is written name=value, with '&' between options") }
            options.append(Option(name, value))
        }
        return BucketURL(bucket: bucket, prefix: prefix, options: options)
    }

    /// The text of a URL without what may be secret: user information and values of such options.
    package static func redacted(_ text: String) -> String {
        guard let scheme = text.firstRange(of: "://") else { return text }
        let rest = text[scheme.upperBound...]
        let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var place = String(parts[0])
        let host = place.prefix { $0 != "/" }
        if let at = host.lastIndex(of: "@") { place = "***" + place[at...] }
        guard parts.count > 1 else { return text[..<scheme.upperBound] + place }
        let options = parts[1].split(separator: "&", omittingEmptySubsequences: false).map { pair in
            let name = pair.prefix { $0 != "=" }
            return isSecret(String(name)) ? "\(name)=***" : String(pair)
        }
        return text[..<scheme.upperBound] + place + "?" + options.joined(separator: "&")
    }
}
