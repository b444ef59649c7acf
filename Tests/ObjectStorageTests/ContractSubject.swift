import Foundation
import ObjectStorage
import Platform
import S3
import TestSupport
import Testing

/// A store that has to keep the contract, and in what it may differ.
struct ContractSubject: Sendable, CustomTestStringConvertible {
    /// What differs by store: the rows of the table in docs/S3SERVERS.md.
    struct Traits: Sendable {
        /// Of many writers that want to create one object, one wins.
        var refusesToReplace = true
        /// A name may be an object and a folder of others at once.
        var nestsObjects = true
        /// Content that does not have the announced MD5 is refused.
        var refusesWrongDigest = true
        /// Keys with these texts in them cannot be stored.
        var impossibleKeys: [String] = []
    }

    let name: String
    let traits: Traits
    private let make: @Sendable () throws -> any ObjectStore

    var testDescription: String { name }

    /// An empty store of this kind.
    func open() throws -> any ObjectStore { try make() }

    /// Local stores, the strict server, and the real servers that run.
    static let all: [ContractSubject] =
        [
            ContractSubject(name: "file://", traits: Traits(nestsObjects: false)) {
                TemporaryFolderStore()
            },
            ContractSubject(name: "memory", traits: Traits()) { MemoryStore() },
            ContractSubject(name: "strict", traits: Traits()) {
                try S3Store.fresh(in: StrictServer.shared().lab)
            },
        ]
        + LabServer.running.map { server in
            ContractSubject(name: server.kind, traits: traits[server.kind] ?? Traits()) {
                try S3Store.fresh(in: server)
            }
        }

    /// Those that speak S3.
    static let buckets = all.filter { !["file://", "memory"].contains($0.name) }

    /// What the real servers do in their own way.
    static let traits: [String: Traits] = [
        "swift": Traits(refusesToReplace: false),
        "moto": Traits(refusesWrongDigest: false),
        "rclone": Traits(
            refusesToReplace: false,
            nestsObjects: false,
            impossibleKeys: ["//", "/./", "/../"]
        ),
    ]
}

/// A real S3 server of the tests, as `servers.py list` describes it.
struct LabServer: Codable, Sendable {
    var kind: String
    var endpoint: String
    var region: String
    var bucket: String
    var accessKey: String
    var secretKey: String

    /// The servers that run now; a line on standard output says which do not.
    static let running: [LabServer] = {
        let servers = all()
        for kind in ["ceph", "swift", "rclone", "moto"]
        where !servers.contains(where: { $0.kind == kind }) {
            print("skipped: no S3 server \(kind); Tests/S3Servers/servers.py up \(kind)")
        }
        return servers
    }()

    /// The servers that run at this moment.
    static func all() -> [LabServer] {
        let program = StrictServer.folder.appending(path: "servers.py").path
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let outcome = try? PythonProgram.run("python3", program, ["list"])
        return (outcome?.output ?? "").split(separator: "\n").compactMap {
            try? decoder.decode(LabServer.self, from: Data($0.utf8))
        }
    }
}

extension StrictServer {
    /// The server that all tests of this process share. They use prefixes of their own.
    static func shared() throws -> StrictServer { try one.get() }

    private static let one = Result { try StrictServer() }

    /// The server as a place for a store.
    var lab: LabServer {
        LabServer(
            kind: "strict",
            endpoint: facts.endpoint,
            region: facts.region,
            bucket: facts.bucket,
            accessKey: facts.accessKey,
            secretKey: facts.secretKey
        )
    }
}

extension S3Store {
    /// A store below a prefix of its own.
    static func fresh(
        in server: LabServer,
        policy: RetryPolicy = .interactive
    ) throws -> S3Store {
        let prefix = "test-\(UInt64.random(in: 0 ... .max))"
        return try open(in: server, prefix: prefix, policy: policy, options: [])
    }

    /// Another store at the same place, with other options.
    func again(
        in server: LabServer,
        policy: RetryPolicy,
        options: [BucketURL.Option]
    ) throws -> S3Store {
        let prefix = String(client.configuration.keyPrefix.dropLast())
        return try Self.open(in: server, prefix: prefix, policy: policy, options: options)
    }

    private static func open(
        in server: LabServer,
        prefix: String,
        policy: RetryPolicy,
        options: [BucketURL.Option]
    ) throws -> S3Store {
        let url = BucketURL(
            bucket: server.bucket,
            prefix: prefix,
            options: [
                .init("endpoint", server.endpoint), .init("region", server.region),
                .init("force-path-style", "true"),
            ] + options
        )
        // Not from the process's environment: each server has keys of its own.
        let environment = [
            "AWS_ACCESS_KEY_ID": server.accessKey, "AWS_SECRET_ACCESS_KEY": server.secretKey,
        ]
        let client = S3Client(
            try S3Configuration(url, environment: environment),
            credentials: CredentialCache([EnvironmentCredentials(environment)]),
            policy: policy
        )
        return S3Store(client: client)
    }
}

/// A folder that goes with the store in it.
struct TemporaryFolderStore: ObjectStore {
    let folder = TemporaryFolder()
    let inner: FolderStore

    init() { inner = FolderStore(root: folder.file("deep/root"), executor: executor) }

    func put(
        _ key: ObjectKey,
        body: any ObjectBody,
        ifAbsent: Bool
    ) async throws(StoreError) {
        try await inner.put(key, body: body, ifAbsent: ifAbsent)
    }

    func get(_ key: ObjectKey, range: Range<UInt64>?) async throws(StoreError) -> [UInt8] {
        try await inner.get(key, range: range)
    }

    func head(_ key: ObjectKey) async throws(StoreError) -> ObjectInfo? {
        try await inner.head(key)
    }

    func list(
        prefix: String,
        after: String?,
        limit: Int?
    ) async throws(StoreError) -> [ObjectInfo] {
        try await inner.list(prefix: prefix, after: after, limit: limit)
    }

    func delete(_ keys: [ObjectKey]) async throws(StoreError) { try await inner.delete(keys) }
}
