import Testing

/// The table of docs/ARCHITECTURE.md: which module may import which.
///
/// An arrow that is not listed is forbidden; a module may also import what its own imports may.
@Suite struct DependencyTests {
    static let direct: [String: Set<String>] = [
        "Bytes": [],
        "WALFormat": ["Bytes"],
        "PageHashing": ["CXXHash", "Bytes"],
        "Zstandard": ["CZstd", "Bytes"],
        "SegmentFormat": ["Bytes", "PageHashing", "Zstandard"],
        "Platform": ["CLinux", "Bytes"],
        "SQLiteAccess": ["CSQLite", "Bytes", "Platform", "WALFormat"],
        "Digests": ["COpenSSL"],
        "HTTPTransport": ["CCurl", "Platform"],
        "ObjectStorage": ["Bytes", "Platform"],
        "S3": ["CExpat", "Bytes", "Digests", "HTTPTransport", "ObjectStorage", "Platform"],
        "Hazards": ["Bytes", "Platform", "SQLiteAccess", "WALFormat"],
        "StoreCheck": ["ObjectStorage", "Platform", "S3"],
        "Configuration": ["CYAML", "ObjectStorage"],
        "BackupCatalog": ["Bytes", "ObjectStorage", "SegmentFormat"],
        "Replication": [
            "BackupCatalog", "Bytes", "Hazards", "Maintenance", "ObjectStorage", "PageHashing",
            "Platform", "SegmentFormat", "SQLiteAccess", "WALFormat",
        ],
        "Restore": [
            "BackupCatalog", "Bytes", "ObjectStorage", "PageHashing", "Platform", "SegmentFormat",
        ],
        "Maintenance": [
            "BackupCatalog", "Bytes", "ObjectStorage", "PageHashing", "Platform", "SegmentFormat",
        ],
        "HTTPServer": ["CMicroHTTPD", "Platform"],
        "Supervision": [
            "BackupCatalog", "Bytes", "Configuration", "HTTPServer", "Hazards", "Maintenance",
            "ObjectStorage", "Platform", "Replication", "Restore", "SQLiteAccess",
        ],
        "AgentCLI": [
            "BackupCatalog", "Bytes", "Configuration", "HTTPTransport", "Hazards", "Maintenance",
            "ObjectStorage", "PageHashing", "Platform", "Replication", "Restore", "S3",
            "SegmentFormat", "SQLiteAccess", "StoreCheck", "Supervision", "WALFormat",
        ],
        "highwater": ["AgentCLI"],
    ]

    /// Modules of the toolchain and of the two packages, and the modules that may use them.
    static let external: [String: Set<String>] = [
        "Synchronization": Set(direct.keys),
        "Glibc": [
            "Platform", "SQLiteAccess", "ObjectStorage", "Hazards", "Replication", "Restore",
            "AgentCLI",
        ],
        "Dispatch": ["Platform"],
        "FoundationEssentials": ["AgentCLI", "BackupCatalog", "S3", "Supervision"],
        "ArgumentParser": ["AgentCLI", "highwater"],
        "Logging": ["AgentCLI"],
    ]

    /// What a module's own imports may import, C libraries left out: each has one importer.
    static func allowed(_ module: String) -> Set<String> {
        var result: Set<String> = []
        var open = Array(direct[module] ?? [])
        while let next = open.popLast() {
            guard result.insert(next).inserted else { continue }
            open += (direct[next] ?? []).filter { direct[$0] != nil }
        }
        return result
    }

    static func imports(of file: SourceTree.File) -> [(line: Int, module: String)] {
        file.code.enumerated().compactMap { index, line in
            let words = line.split(separator: " ").drop {
                $0.hasPrefix("@") || ["package", "public", "internal", "private"].contains($0)
            }
            guard words.first == "import", words.count >= 2 else { return nil }
            let kinds: Set<Substring> = [
                "struct", "enum", "class", "func", "protocol", "typealias",
            ]
            let name = words.dropFirst().first { !kinds.contains($0) } ?? ""
            return (index + 1, String(name.prefix { $0 != "." }))
        }
    }

    @Test func `every module is in the table`() {
        let folders = Set(SourceTree.sources.map(\.module))
        let cModules: Set<String> = ["CCurl", "CLinux"]
        #expect(folders.subtracting(Self.direct.keys).subtracting(cModules).isEmpty)
    }

    @Test(arguments: SourceTree.sources)
    func `imports follow the table`(_ file: SourceTree.File) {
        let allowed = Self.allowed(file.module)
        for (line, name) in Self.imports(of: file) where !allowed.contains(name) {
            #expect(
                Self.external[name]?.contains(file.module) == true,
                "\(file.path):\(line): \(file.module) may not import \(name)"
            )
        }
    }

    @Test func `each C library has one importer`() {
        var importers: [String: Set<String>] = [:]
        for file in SourceTree.sources {
            for (_, name) in Self.imports(of: file)
            where name.hasPrefix("C") && Self.direct[name] == nil {
                importers[name, default: []].insert(file.module)
            }
        }
        for (library, modules) in importers {
            #expect(modules.count == 1, "\(library) is imported by \(modules.sorted())")
        }
    }

    @Test func `the manifest and the table agree`() {
        let manifest = SourceTree.text("Package.swift").filter { !$0.isWhitespace }
        for (module, dependencies) in Self.direct where !["highwater", "AgentCLI"].contains(module)
        {
            guard let start = manifest.range(of: "module(\"\(module)\",[") else {
                Issue.record("Package.swift has no module \(module)")
                continue
            }
            let list = manifest[start.upperBound...].prefix { $0 != "]" }
            let names = list.split(separator: ",").map { $0.filter { $0 != "\"" } }
            #expect(Set(names) == dependencies, "\(module) in Package.swift")
        }
    }
}
