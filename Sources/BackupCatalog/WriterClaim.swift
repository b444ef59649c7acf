package import Bytes
import FoundationEssentials
package import ObjectStorage
import SegmentFormat

/// What `writers/<n>` says: who goes on writing a generation.
///
/// Stored if absent under the number after the highest listed one. Whoever finds a higher number
/// than its own has been superseded, and writes no more into the generation. A closing claim is
/// maintenance's: nobody goes on from it.
package struct WriterClaim: Hashable, Sendable {
    /// Who writes.
    package var writer: WriterTag
    /// Where it goes on: the last commit before its own.
    package var txid: TXID
    /// When the claim was made.
    package var time: Timestamp
    /// The name of the machine.
    package var host: String
    /// Whether the generation is at its end: it is about to be deleted.
    package var closes: Bool

    /// A claim.
    package init(
        writer: WriterTag,
        txid: TXID,
        time: Timestamp,
        host: String,
        closes: Bool = false
    ) {
        self.writer = writer
        self.txid = txid
        self.time = time
        self.host = host
        self.closes = closes
    }

    /// The longest claim in bytes.
    package static let maxEncodedSize = 4096

    /// The key below the generation's folder: the number in 16 hexadecimal digits.
    package static func path(number: UInt64) -> String {
        CatalogLayout.writersFolder + "/" + Hex.string(number, digits: 16)
    }

    /// The number in a key below the generation's folder; nil when it is no claim's.
    package static func number(path: String) -> UInt64? {
        let folder = CatalogLayout.writersFolder + "/"
        guard path.hasPrefix(folder) else { return nil }
        guard let number = Hex.parse(path.dropFirst(folder.count), digits: 16), number > 0,
            Self.path(number: number) == path
        else { return nil }
        return number
    }

    /// The object's content.
    package func encode() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let form = Form(
            format: GenerationRecord.format,
            version: GenerationRecord.version,
            writer: writer.description,
            txid: txid.description,
            time: time.description,
            host: host,
            closes: closes ? true : nil
        )
        // Strings and integers always have a form in JSON.
        guard let data = try? encoder.encode(form) else {
            preconditionFailure("a claim cannot be encoded")
        }
        return Array(data) + [UInt8(ascii: "\n")]
    }

    /// The claim in an object's content. `object` names it in errors.
    package init(decoding bytes: [UInt8], object: String) throws(CatalogError) {
        guard bytes.count <= Self.maxEncodedSize,
            let form = try? JSONDecoder().decode(Form.self, from: Data(bytes)),
            form.format == GenerationRecord.format
        else { throw CatalogError(.damaged, object: object, "this is no claim of Highwater") }
        guard form.version <= GenerationRecord.version else {
            throw CatalogError(
                .unsupported,
                object: object,
                "version \(form.version) was written by a newer highwater; use that one"
            )
        }
        guard let writer = WriterTag(hex: form.writer), let txid = TXID(hex: form.txid),
            txid <= SegmentLimits.maxTXID, let time = Timestamp(rfc3339: form.time)
        else { throw CatalogError(.damaged, object: object, "a field's value is impossible") }
        self.init(
            writer: writer,
            txid: txid,
            time: time,
            host: form.host ?? "",
            closes: form.closes ?? false
        )
    }

    /// The claim as it is spelled in JSON.
    private struct Form: Codable {
        let format: String
        let version: Int
        let writer: String
        let txid: String
        let time: String
        let host: String?
        let closes: Bool?
    }
}

/// A claim that the store holds, as LIST tells.
package struct StoredClaim: Hashable, Sendable {
    /// Its number.
    package let number: UInt64
    /// Its key.
    package let key: ObjectKey
    /// When it was stored, by the store's clock, if the store says so.
    package let modified: Timestamp?

    /// A claim.
    package init(number: UInt64, key: ObjectKey, modified: Timestamp?) {
        self.number = number
        self.key = key
        self.modified = modified
    }
}

extension Catalog {
    /// The claims on a generation with a number above `number`, by number.
    package func claims(of id: GenerationID, after number: UInt64 = 0) async throws -> [StoredClaim]
    {
        let folder = layout.folder(of: id)
        let objects = try await store.list(
            prefix: folder + CatalogLayout.writersFolder + "/",
            after: number == 0 ? nil : folder + WriterClaim.path(number: number)
        )
        return objects.compactMap { object in
            WriterClaim.number(path: String(object.key.path.dropFirst(folder.count))).map {
                StoredClaim(number: $0, key: object.key, modified: object.modified)
            }
        }
    }

    /// The claim that `stored` lists; nil when it is gone.
    package func claim(_ stored: StoredClaim) async throws -> WriterClaim? {
        let limit = UInt64(WriterClaim.maxEncodedSize)
        guard let bytes = try await store.bytes(of: stored.key, in: 0..<limit + 1) else {
            return nil
        }
        return try WriterClaim(decoding: bytes, object: stored.key.path)
    }
}
