import BackupCatalog
import Bytes
import Glibc
import Platform
import SQLiteAccess

/// generation.json (docs/FORMAT.md §8).
enum GenerationFile {
    static let name = "generation.json"
}

extension FollowerStart {
    /// generation.json of a generation that begins now.
    func generationRecord(
        _ id: GenerationID,
        parent: GenerationRecord.Parent?,
        attachment: Attachment
    ) -> [UInt8] {
        var host = [CChar](repeating: 0, count: 256)
        gethostname(&host, 255)
        let hostName = String(
            decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)),
            as: UTF8.self
        )
        let identity = attachment.identity
        return GenerationRecord(
            id: id,
            created: .now,
            pageSize: attachment.pageSize,
            parent: parent,
            file: GenerationRecord.File(
                name: FileSystem.name(of: path),
                path: displayPath,
                mode: identity.permissions & 0o777,
                uid: identity.owner,
                gid: identity.group
            ),
            host: hostName,
            highwater: version,
            sqlite: SQLiteLibrary.version,
            owner: owner
        ).encode()
    }
}
