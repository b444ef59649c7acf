import BackupCatalog
import Bytes
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
            host: HostName.current,
            highwater: version,
            sqlite: SQLiteLibrary.version,
            owner: owner
        ).encode()
    }
}
