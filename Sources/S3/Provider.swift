/// What one store does in its own way. The client looks here and has no other special cases;
/// docs/S3.md shows the same table.
package struct Provider: Sendable {
    /// What is known about writes with `If-None-Match: *`.
    package enum ConditionalWrites: Sendable {
        /// Nothing for sure: a probe tells.
        case unknown
        /// They are refused or ignored.
        case none
    }

    /// The name that users know.
    package var name: String
    /// Endings of endpoint hosts that belong to it.
    package var hostEndings: [String] = []
    /// Hosts of the form `bucket.region<ending>` that may stand in a URL for the bucket.
    package var bucketHostEnding: String?
    /// Whether buckets go into the host name when nothing else is asked for.
    package var usesVirtualHosts = false
    /// Whether listings may ask for encoded keys.
    package var listsEncodedKeys = true
    /// Whether listings of version 2 are known.
    package var listsVersion2 = true
    /// Whether an encoded key in a listing writes a space as `+`.
    package var writesSpaceAsPlus = true
    /// Whether DeleteObjects is known.
    package var deletesBatches = true
    /// Whether all parts of an upload but the last must be of one size.
    package var needsEqualParts = false
    /// Parts of an upload.
    package var partsMax = Limits.parts
    /// The region when none is given.
    package var region = "us-east-1"
    /// Whether the region of a bucket can be asked for and redirects be followed to it.
    package var hasRegions = false
    /// What is known about writes with `If-None-Match: *`.
    package var conditionalWrites = ConditionalWrites.unknown

    /// Amazon's own.
    package static let aws = Provider(
        name: "AWS S3",
        hostEndings: [".amazonaws.com", ".amazonaws.com.cn"],
        usesVirtualHosts: true,
        hasRegions: true
    )

    /// Everything that is not in the table.
    package static let other = Provider(name: "S3-compatible")

    /// All that are known by their endpoints.
    package static let table: [Provider] = [
        aws,
        Provider(
            name: "Cloudflare R2",
            hostEndings: [".r2.cloudflarestorage.com"],
            needsEqualParts: true,
            region: "auto"
        ),
        Provider(
            name: "Google Cloud Storage",
            hostEndings: ["storage.googleapis.com", ".rep.googleapis.com"],
            deletesBatches: false,
            region: "auto",
            conditionalWrites: .none
        ),
        Provider(
            name: "Backblaze B2",
            hostEndings: [".backblazeb2.com"],
            bucketHostEnding: ".backblazeb2.com",
            conditionalWrites: .none
        ),
        Provider(
            name: "DigitalOcean Spaces",
            hostEndings: [".digitaloceanspaces.com"],
            bucketHostEnding: ".digitaloceanspaces.com",
            listsEncodedKeys: false
        ),
        Provider(
            name: "Scaleway",
            hostEndings: [".scw.cloud"],
            bucketHostEnding: ".scw.cloud",
            partsMax: 1000
        ),
        Provider(
            name: "Linode",
            hostEndings: [".linodeobjects.com"],
            bucketHostEnding: ".linodeobjects.com"
        ),
        Provider(
            name: "Alibaba OSS",
            hostEndings: [".aliyuncs.com"],
            usesVirtualHosts: true,
            deletesBatches: false,
            conditionalWrites: .none
        ),
        Provider(
            name: "Tencent COS",
            hostEndings: [".myqcloud.com"],
            usesVirtualHosts: true,
            listsVersion2: false,
            conditionalWrites: .none
        ),
        Provider(
            name: "IBM COS",
            hostEndings: [".cloud-object-storage.appdomain.cloud"],
            listsVersion2: false
        ),
        Provider(
            name: "Tigris",
            hostEndings: ["fly.storage.tigris.dev", "t3.storage.dev"],
            region: "auto"
        ),
        Provider(name: "Wasabi", hostEndings: [".wasabisys.com"]),
        Provider(name: "Hetzner", hostEndings: [".your-objectstorage.com"]),
        Provider(name: "Supabase", hostEndings: [".supabase.co"]),
        Provider(name: "Filebase", hostEndings: ["s3.filebase.com"]),
    ]

    /// The provider that an endpoint's host belongs to.
    package static func of(host: String) -> Provider {
        let host = host.lowercased()
        return table.first { provider in
            provider.hostEndings.contains { host == $0.drop { $0 == "." } || host.hasSuffix($0) }
        } ?? other
    }
}
