import ArgumentParser
import BackupCatalog
import Bytes
import FoundationEssentials
import ObjectStorage
import Platform

extension NameSpecification {
    /// `--name` and, as Litestream's users write it, `-name`.
    static func both(_ name: String) -> NameSpecification {
        [.customLong(name), .customLong(name, withSingleDash: true)]
    }
}

/// A place: a URL, or a database of the configuration file.
struct PlaceOptions: ParsableArguments {
    @Argument(
        help: """
            Where the backup is: file:///absolute/path, s3://bucket/prefix?…, or a database of the \
            configuration file.
            """
    )
    var url: String

    @OptionGroup var settings: ConfigOptions

    @Option(name: .both("replica"), help: "The replica, when the database has several.")
    var replica: String?

    func named() throws -> NamedPlace {
        try NamedPlace.find(url, replica: replica, in: settings)
    }

    func store(_ executor: ThreadExecutor) throws -> any ObjectStore {
        let named = try named()
        return try StoreFactory.open(
            named.place,
            credentials: named.credentials,
            executor: executor
        )
    }

    func catalog() throws -> Catalog {
        Catalog(store: try store(ThreadExecutor(threads: 2)))
    }
}

/// The arguments of every command that reads a store.
struct StoreOptions: ParsableArguments {
    @OptionGroup var place: PlaceOptions

    @Option(name: .both("generation"), help: "Take this generation instead of the newest.")
    var generation: String?

    @Flag(name: .both("json"), help: "Print JSON.")
    var json = false

    /// The place as the user named it.
    var url: String { place.url }

    func catalog() throws -> Catalog { try place.catalog() }

    /// The generation that the user named, else the newest one.
    func chosen(in catalog: Catalog) async throws -> Generation {
        guard let generation else {
            do {
                return try await catalog.newestGeneration()
            } catch let error as CatalogError where error.object == catalog.layout.root {
                throw CatalogError(error.code, object: url, error.message)
            }
        }
        guard let id = GenerationID(generation) else {
            throw ValidationError("'\(generation)' is not a generation's name; see 'generations'.")
        }
        return try await catalog.generation(id)
    }
}

/// JSON of the schema that README.md describes, version 1.
enum JSONOutput {
    static func print(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        Swift.print(String(decoding: try encoder.encode(value), as: UTF8.self))
    }
}

/// A TXID as users write it.
enum TXIDArgument {
    static func parse(_ text: String) throws(ValidationError) -> TXID {
        if let txid = TXID(hex: text) { return txid }
        if text.hasPrefix("0x"), (1...16).contains(text.count - 2),
            let value = UInt64(text.dropFirst(2), radix: 16)
        {
            return TXID(value)
        }
        var readings: [String] = []
        if let decimal = UInt64(text) { readings.append("\(TXID(decimal)) (read as decimal)") }
        if let hex = UInt64(text, radix: 16), hex != UInt64(text) {
            readings.append("\(TXID(hex)) (read as hexadecimal)")
        }
        let hint = readings.isEmpty ? "" : "; did you mean \(readings.joined(separator: " or "))?"
        throw ValidationError("A TXID is 16 hexadecimal digits or 0x…, not '\(text)'\(hint)")
    }
}
