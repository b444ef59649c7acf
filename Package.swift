// swift-tools-version: 6.2
import PackageDescription

/// Settings of every Swift target: Swift 6 mode, explicit `any`, imports that are an
/// implementation detail unless said otherwise, and no warnings.
let common: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

/// Targets with byte loops are optimised in debug builds too: unoptimised they are 12 to 130
/// times slower, which would make the tests crawl.
let hot: [SwiftSetting] = common + [.unsafeFlags(["-O"], .when(configuration: .debug))]

let testSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .treatAllWarnings(as: .error),
]

let hotTestSettings: [SwiftSetting] =
    testSettings + [.unsafeFlags(["-O"], .when(configuration: .debug))]

func module(_ name: String, _ dependencies: [String], hot isHot: Bool = false) -> Target {
    .target(
        name: name,
        dependencies: dependencies.map { .init(stringLiteral: $0) },
        swiftSettings: isHot ? hot : common
    )
}

func tests(
    _ name: String,
    _ dependencies: [String],
    resources: [Resource] = [],
    hot isHot: Bool = false
) -> Target {
    .testTarget(
        name: name,
        dependencies: (dependencies + ["TestSupport"]).map { .init(stringLiteral: $0) },
        resources: resources,
        swiftSettings: isHot ? hotTestSettings : testSettings
    )
}

/// What has decoders of bytes from disk or network.
let fuzzed: [Target.Dependency] = [
    "BackupCatalog", "Bytes", "Configuration", "Digests", "HTTPServer", "HTTPTransport", "Hazards",
    "ObjectStorage", "PageHashing", "Platform", "Replication", "Restore", "S3", "SegmentFormat",
    "Supervision", "WALFormat", "Zstandard",
]

/// The decoders in two forms: under libFuzzer, whose runtime no other build has (`make fuzz` sets
/// the variable), and as tests that replay its seeds.
let fuzzing: Target =
    Context.environment["HIGHWATER_FUZZ"] != nil
    ? .executableTarget(
        name: "Fuzz",
        dependencies: fuzzed,
        path: "Fuzz",
        exclude: ["Corpus", "Replay", "seeds.py"],
        sources: ["Decoders", "Driver"],
        swiftSettings: testSettings
    )
    : .testTarget(
        name: "FuzzTests",
        dependencies: fuzzed + ["TestSupport"],
        path: "Fuzz",
        exclude: ["Corpus", "Driver", "seeds.py"],
        sources: ["Decoders", "Replay"],
        swiftSettings: hotTestSettings
    )

let package = Package(
    name: "highwater",
    products: [.executable(name: "highwater", targets: ["highwater"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    ],
    targets: [
        // C libraries of the system, and what Glibc's module lacks. One importer each.
        .systemLibrary(
            name: "CSQLite",
            pkgConfig: "sqlite3",
            providers: [.apt(["libsqlite3-dev"])]
        ),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(
            name: "CXXHash",
            pkgConfig: "libxxhash",
            providers: [.apt(["libxxhash-dev"])]
        ),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(
            name: "CMicroHTTPD",
            pkgConfig: "libmicrohttpd",
            providers: [.apt(["libmicrohttpd-dev"])]
        ),
        .systemLibrary(name: "CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),
        .target(name: "CLinux"),
        // libcurl is loaded when it is needed, so this has code: Debian's libcurl4-openssl-dev.
        .target(name: "CCurl"),

        // Pure formats.
        module("Bytes", [], hot: true),
        module("WALFormat", ["Bytes"], hot: true),
        module("PageHashing", ["CXXHash", "Bytes"], hot: true),
        module("Zstandard", ["CZstd", "Bytes"], hot: true),
        module("SegmentFormat", ["Bytes", "PageHashing", "Zstandard"], hot: true),

        // The edges: kernel, SQLite, stores.
        module("Platform", ["CLinux", "Bytes"]),
        module("SQLiteAccess", ["CSQLite", "Bytes", "Platform", "WALFormat"], hot: true),
        module("Digests", ["COpenSSL"], hot: true),
        module("HTTPTransport", ["CCurl", "Platform"], hot: true),
        module("HTTPServer", ["CMicroHTTPD", "Platform"]),
        module("ObjectStorage", ["Bytes", "Platform"]),
        module(
            "S3",
            ["CExpat", "Bytes", "Digests", "HTTPTransport", "ObjectStorage", "Platform"],
            hot: true
        ),
        module("Hazards", ["Bytes", "Platform", "SQLiteAccess", "WALFormat"]),
        module("StoreCheck", ["ObjectStorage", "Platform", "S3"]),

        module("Configuration", ["CYAML", "ObjectStorage"]),

        // The engine.
        module("BackupCatalog", ["Bytes", "ObjectStorage", "SegmentFormat"]),
        module(
            "Replication",
            [
                "BackupCatalog", "Bytes", "Hazards", "Maintenance", "ObjectStorage", "PageHashing",
                "Platform", "SegmentFormat", "SQLiteAccess", "WALFormat",
            ],
            hot: true
        ),
        module(
            "Restore",
            [
                "BackupCatalog", "Bytes", "ObjectStorage", "PageHashing", "Platform",
                "SegmentFormat",
            ],
            hot: true
        ),

        module(
            "Maintenance",
            [
                "BackupCatalog", "Bytes", "ObjectStorage", "PageHashing", "Platform",
                "SegmentFormat",
            ],
            hot: true
        ),

        module(
            "Supervision",
            [
                "BackupCatalog", "Bytes", "Configuration", "HTTPServer", "Hazards", "Maintenance",
                "ObjectStorage", "Platform", "Replication", "Restore", "SQLiteAccess",
            ]
        ),

        // What people run.
        .target(
            name: "AgentCLI",
            dependencies: [
                "BackupCatalog", "Bytes", "Configuration", "HTTPTransport", "Hazards",
                "Maintenance", "ObjectStorage", "Platform", "Replication", "Restore", "S3",
                "SegmentFormat", "SQLiteAccess", "StoreCheck", "Supervision", "WALFormat",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: common
        ),
        .executableTarget(name: "highwater", dependencies: ["AgentCLI"], swiftSettings: common),

        .executableTarget(
            name: "StoreBenchmark",
            dependencies: ["ObjectStorage", "Platform", "S3"],
            path: "Benchmarks/StoreBenchmark",
            swiftSettings: testSettings
        ),

        .target(
            name: "TestSupport",
            dependencies: ["Bytes", "ObjectStorage", "Platform", "SegmentFormat"],
            path: "Tests/TestSupport",
            swiftSettings: testSettings
        ),
        tests("ModelTests", ["Bytes", "Replication", "WALFormat"], hot: true),
        tests("BytesTests", ["Bytes"]),
        tests("WALFormatTests", ["Bytes", "WALFormat"]),
        tests(
            "SegmentFormatTests",
            ["Bytes", "PageHashing", "SegmentFormat", "Zstandard"],
            resources: [.copy("Fixtures")]
        ),
        tests("DigestsTests", ["Bytes", "Digests"]),
        tests("HTTPTransportTests", ["HTTPTransport", "Platform"]),
        tests("S3Tests", ["Bytes", "Digests", "HTTPTransport", "ObjectStorage", "Platform", "S3"]),
        tests("ObjectStorageTests", ["Bytes", "ObjectStorage", "Platform", "S3", "StoreCheck"]),
        tests(
            "ReplicationTests",
            [
                "BackupCatalog", "Bytes", "CSQLite", "Hazards", "ObjectStorage", "PageHashing",
                "Platform", "Replication", "Restore", "SegmentFormat", "SQLiteAccess", "WALFormat",
            ]
        ),
        tests(
            "SimulationTests",
            [
                "BackupCatalog", "Bytes", "Digests", "Maintenance", "ObjectStorage", "Platform",
                "Replication", "Restore", "SegmentFormat", "WALFormat",
            ]
        ),
        tests(
            "RestoreTests",
            [
                "BackupCatalog", "Bytes", "ObjectStorage", "PageHashing", "Platform", "Restore",
                "SegmentFormat",
            ]
        ),
        tests(
            "MaintenanceTests",
            [
                "BackupCatalog", "Bytes", "Maintenance", "ObjectStorage", "PageHashing",
                "Platform", "Restore", "SegmentFormat",
            ]
        ),
        tests("HazardsTests", ["Bytes", "Hazards", "Platform", "SQLiteAccess", "WALFormat"]),
        tests("ConfigurationTests", ["Configuration", "ObjectStorage"]),
        tests("HTTPServerTests", ["HTTPServer", "HTTPTransport", "Platform"]),
        tests(
            "SupervisionTests",
            [
                "BackupCatalog", "Bytes", "CSQLite", "Configuration", "HTTPServer", "ObjectStorage",
                "Platform", "Replication", "Restore", "SQLiteAccess", "Supervision",
            ]
        ),
        tests("PlatformTests", ["Bytes", "Platform", "SQLiteAccess"]),
        tests("AgentCLITests", ["AgentCLI", "Bytes", "Platform"]),
        tests("EndToEndTests", ["Bytes", "Platform"]),
        tests("TidyTests", []),
        fuzzing,
    ]
)
