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

/// The arguments of every command that reads a store.
struct StoreOptions: ParsableArguments {
    @Argument(help: "Where the backup is: file:///absolute/path or s3://bucket/prefix?….")
    var url: String

    @Option(name: .both("generation"), help: "Take this generation instead of the newest.")
    var generation: String?

    @Flag(name: .both("json"), help: "Print JSON.")
    var json = false

    func catalog() throws -> Catalog {
        let executor = ThreadExecutor(threads: 2)
        return Catalog(store: try StoreFactory.open(url, executor: executor))
    }

    /// The generation that the user named, else the newest one.
    func chosen(in catalog: Catalog) async throws -> Generation {
        guard let generation else { return try await catalog.newestGeneration() }
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
        if let hex = UInt64(text, radix: 16) {
            readings.append("\(TXID(hex)) (read as hexadecimal)")
        }
        let hint = readings.isEmpty ? "" : "; did you mean \(readings.joined(separator: " or "))?"
        throw ValidationError("A TXID is 16 hexadecimal digits or 0x…, not '\(text)'\(hint)")
    }
}
