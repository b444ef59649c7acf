package import Bytes
import FoundationEssentials
import SegmentFormat

/// What `generation.json` says: the first object of every generation.
///
/// Keys that this version does not know are ignored; a higher version is refused.
package struct GenerationRecord: Hashable, Sendable {
    /// Where a generation goes on from.
    package struct Parent: Hashable, Sendable {
        /// The generation before.
        package var generation: GenerationID
        /// Its last commit that this generation builds on.
        package var txid: TXID

        /// A parent.
        package init(generation: GenerationID, txid: TXID) {
            self.generation = generation
            self.txid = txid
        }
    }

    /// The database's file.
    package struct File: Hashable, Sendable {
        /// The last part of the path.
        package var name: String
        /// The path as the user named it.
        package var path: String
        /// Permission bits.
        package var mode: UInt32
        /// Owner.
        package var uid: UInt32
        /// Group.
        package var gid: UInt32

        /// A file.
        package init(name: String, path: String, mode: UInt32, uid: UInt32, gid: UInt32) {
            self.name = name
            self.path = path
            self.mode = mode
            self.uid = uid
            self.gid = gid
        }
    }

    /// The generation's name, also the name of its folder.
    package var id: GenerationID
    /// When it was begun.
    package var created: Timestamp
    /// The database's page size.
    package var pageSize: PageSize
    /// What it goes on from; nil for the first generation in a store.
    package var parent: Parent?
    /// The database's file.
    package var file: File
    /// The name of the machine that wrote it.
    package var host: String
    /// The version of Highwater that wrote it.
    package var highwater: String
    /// The version of SQLite that it used.
    package var sqlite: String
    /// The owner token.
    package var owner: Hash128?

    /// A record.
    package init(
        id: GenerationID,
        created: Timestamp,
        pageSize: PageSize,
        parent: Parent?,
        file: File,
        host: String,
        highwater: String,
        sqlite: String,
        owner: Hash128?
    ) {
        self.id = id
        self.created = created
        self.pageSize = pageSize
        self.parent = parent
        self.file = file
        self.host = host
        self.highwater = highwater
        self.sqlite = sqlite
        self.owner = owner
    }

    /// The longest `generation.json` in bytes.
    package static let maxEncodedSize = 64 << 10
    /// The format that this version writes and reads.
    package static let format = "highwater-1"
    /// The highest version that this version reads.
    package static let version = 1

    /// The object's content.
    package func encode() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        // Strings and integers always have a form in JSON.
        guard let data = try? encoder.encode(JSONForm(self)) else {
            preconditionFailure("a generation record cannot be encoded")
        }
        return Array(data) + [UInt8(ascii: "\n")]
    }

    /// The record in an object's content. `object` names it in errors.
    package init(decoding bytes: [UInt8], object: String) throws(CatalogError) {
        guard let head = try? JSONDecoder().decode(JSONHead.self, from: Data(bytes)) else {
            throw CatalogError(.damaged, object: object, "this is no generation.json of Highwater")
        }
        guard head.format == Self.format else {
            throw CatalogError(.unsupported, object: object, "the format is '\(head.format)'")
        }
        guard head.version <= Self.version else {
            throw CatalogError(
                .unsupported,
                object: object,
                "version \(head.version) was written by a newer highwater; use that one"
            )
        }
        guard let form = try? JSONDecoder().decode(JSONForm.self, from: Data(bytes)) else {
            throw CatalogError(.damaged, object: object, "a field is missing or of a wrong type")
        }
        guard let record = form.record else {
            throw CatalogError(.damaged, object: object, "a field's value is impossible")
        }
        self = record
    }
}

/// The part that every version has.
private struct JSONHead: Codable {
    let format: String
    let version: Int
}

/// The record as it is spelled in JSON.
private struct JSONForm: Codable {
    struct Parent: Codable {
        let generation: String
        let txid: String
    }

    struct File: Codable {
        let name: String
        let path: String
        let mode: String
        let uid: UInt32
        let gid: UInt32
    }

    enum CodingKeys: String, CodingKey {
        case format, version, id, created, parent, file, host, highwater, sqlite, owner
        case pageSize = "page_size"
    }

    let format: String
    let version: Int
    let id: String
    let created: String
    let pageSize: Int
    let parent: Parent?
    let file: File
    let host: String?
    let highwater: String?
    let sqlite: String?
    let owner: String?

    init(_ record: GenerationRecord) {
        format = GenerationRecord.format
        version = GenerationRecord.version
        id = record.id.text
        created = record.created.description
        pageSize = record.pageSize.bytes
        parent = record.parent.map {
            Parent(generation: $0.generation.text, txid: $0.txid.description)
        }
        let mode = String(record.file.mode & 0o7777, radix: 8)
        file = File(
            name: record.file.name,
            path: record.file.path,
            mode: String(repeating: "0", count: max(0, 4 - mode.count)) + mode,
            uid: record.file.uid,
            gid: record.file.gid
        )
        host = record.host
        highwater = record.highwater
        sqlite = record.sqlite
        owner = record.owner?.description
    }

    var record: GenerationRecord? {
        guard let id = GenerationID(id), let created = Timestamp(rfc3339: created),
            let pageSize = PageSize(self.pageSize), let mode = UInt32(file.mode, radix: 8),
            mode <= 0o7777
        else { return nil }
        var origin: GenerationRecord.Parent?
        if let parent {
            guard let generation = GenerationID(parent.generation),
                let txid = TXID(hex: parent.txid), txid <= SegmentLimits.maxTXID
            else { return nil }
            origin = GenerationRecord.Parent(generation: generation, txid: txid)
        }
        return GenerationRecord(
            id: id,
            created: created,
            pageSize: pageSize,
            parent: origin,
            file: GenerationRecord.File(
                name: file.name,
                path: file.path,
                mode: mode,
                uid: file.uid,
                gid: file.gid
            ),
            host: host ?? "",
            highwater: highwater ?? "",
            sqlite: sqlite ?? "",
            owner: owner.flatMap { Hash128(hex: $0) }
        )
    }
}
