package import Bytes
import Glibc
package import Platform

/// What a restore leaves beside the database, `<database>.highwater`, so that an agent that starts
/// on it knows its place (docs/CLI.md, "restore"). Only a hint: whoever reads
/// it compares the digest with the database.
package enum HintFile {
    /// The hint's path for a database.
    package static func path(for database: String) -> String { database + ".highwater" }

    /// Writes the hint, replacing an older one.
    package static func write(
        for database: String,
        generation: GenerationID,
        txid: TXID,
        digest: DatabaseDigest,
        pageSize: PageSize,
        pageCount: UInt32
    ) throws(SystemError) {
        let text = """
            {"digest":"\(digest)","format":"highwater-hint","generation":"\(generation)",\
            "page_count":\(pageCount),"page_size":\(pageSize),"txid":"\(txid)","version":1}

            """
        let path = path(for: database)
        let temporary = path + ".restoring-" + Hex.string(Chance.bits(), digits: 16)
        do {
            let file = try FileDescriptor(
                path: temporary,
                flags: O_WRONLY | O_CREAT | O_EXCL,
                mode: 0o600
            )
            try file.write(Array(text.utf8), at: 0)
            try file.synchronize()
            try FileSystem.rename(temporary, to: path)
        } catch {
            try? FileSystem.remove(temporary)
            throw error
        }
    }
}
