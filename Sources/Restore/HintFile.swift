import BackupCatalog
import Bytes
import Glibc
import Platform

/// The file beside the database that holds a `RestoreHint`.
enum HintFile {
    /// Writes the hint, replacing an older one. It belongs to `owner`, who may have to read it.
    static func write(
        _ hint: RestoreHint,
        for database: String,
        owner: (UInt32, UInt32)?
    ) throws(SystemError) {
        let path = RestoreHint.path(for: database)
        let temporary = path + ".restoring-" + Hex.string(Chance.bits(), digits: 16)
        do {
            let file = try FileDescriptor(
                path: temporary,
                flags: O_WRONLY | O_CREAT | O_EXCL,
                mode: 0o600
            )
            if let owner {
                try FileSystem.setOwner(temporary, owner: owner.0, group: owner.1)
            }
            try file.write(hint.encode(), at: 0)
            try file.synchronize()
            try FileSystem.rename(temporary, to: path)
        } catch {
            try? FileSystem.remove(temporary)
            throw error
        }
    }
}
