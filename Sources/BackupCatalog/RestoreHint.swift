package import Bytes
import FoundationEssentials
import SegmentFormat

/// What a restore leaves beside the database in `<database>.highwater`: which state it is, so that
/// an agent that starts on it finds its place (docs/CLI.md, "restore").
///
/// Only a hint: anybody may have written it, and the database may have changed since. Whoever reads
/// it compares its digest with the database's and with the one that the store has recorded. Keys
/// that this version does not know are ignored; a higher version is refused.
package struct RestoreHint: Hashable, Sendable {
    /// The generation that was restored.
    package var generation: GenerationID
    /// The last commit in the state.
    package var txid: TXID
    /// The state's digest.
    package var digest: DatabaseDigest
    /// The database's page size.
    package var pageSize: PageSize
    /// Pages in the state.
    package var pageCount: UInt32

    /// A hint.
    package init(
        generation: GenerationID,
        txid: TXID,
        digest: DatabaseDigest,
        pageSize: PageSize,
        pageCount: UInt32
    ) {
        self.generation = generation
        self.txid = txid
        self.digest = digest
        self.pageSize = pageSize
        self.pageCount = pageCount
    }

    /// The longest hint in bytes.
    package static let maxEncodedSize = 4096
    private static let format = "highwater-hint"
    private static let version = 1

    /// The hint's path for a database.
    package static func path(for database: String) -> String { database + ".highwater" }

    /// The file's content.
    package func encode() -> [UInt8] {
        let text = """
            {"digest":"\(digest)","format":"\(Self.format)","generation":"\(generation)",\
            "page_count":\(pageCount),"page_size":\(pageSize),"txid":"\(txid)",\
            "version":\(Self.version)}

            """
        return Array(text.utf8)
    }

    /// The hint in a file's content. `object` names it in errors.
    package init(decoding bytes: [UInt8], object: String) throws(CatalogError) {
        guard bytes.count <= Self.maxEncodedSize,
            let form = try? JSONDecoder().decode(Form.self, from: Data(bytes)),
            form.format == Self.format
        else { throw CatalogError(.damaged, object: object, "this is no hint of Highwater") }
        guard form.version == Self.version else {
            throw CatalogError(
                .unsupported,
                object: object,
                "version \(form.version) of a hint is not known to this highwater"
            )
        }
        guard let generation = GenerationID(form.generation), let txid = TXID(hex: form.txid),
            txid > .zero, txid <= SegmentLimits.maxTXID,
            let digest = DatabaseDigest(hex: form.digest),
            let pageSize = PageSize(form.pageSize), form.pageCount > 0
        else { throw CatalogError(.damaged, object: object, "a field's value is impossible") }
        self.init(
            generation: generation,
            txid: txid,
            digest: digest,
            pageSize: pageSize,
            pageCount: form.pageCount
        )
    }

    /// The hint as it is spelled in JSON.
    private struct Form: Codable {
        enum CodingKeys: String, CodingKey {
            case format, version, generation, txid, digest
            case pageSize = "page_size"
            case pageCount = "page_count"
        }

        let format: String
        let version: Int
        let generation: String
        let txid: String
        let digest: String
        let pageSize: Int
        let pageCount: UInt32
    }
}
