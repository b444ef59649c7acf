package import Bytes
import Glibc
import PageHashing
package import Platform

/// The few local files beside a database, in a hidden folder. All of them may be deleted at any
/// time: that can cost a new generation, never a wrong backup (DESIGN §2.4).
package struct LocalState: Sendable {
    /// `<folder>/.<database name>-highwater`.
    package let folder: String
    /// Where segments wait that must be safe before the store has them. Each place that a database
    /// goes to has its own.
    package let spoolFolder: String

    /// The local files of a database on its way to `place`; nothing is made yet.
    package init(databasePath: String, place: String = "") {
        let name = FileSystem.name(of: databasePath)
        folder = "\(FileSystem.folder(of: databasePath))/.\(name)-highwater"
        spoolFolder = folder + (place.isEmpty ? "/spool" : "/spool-" + Self.hash(place))
    }

    /// The file that an agent holds locked while it follows the database to this place.
    var lockPath: String { spoolFolder + ".lock" }

    /// FNV-1a of a text: a short name that stays the same.
    private static func hash(_ text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Hex.string(hash, digits: 16)
    }

    /// The token that says which generations are ours: a hash of a random number kept here, the
    /// machine, and the database's file (DESIGN §7). A copy of all files to another place or
    /// machine therefore has another one, and so has a file that was put in the database's place,
    /// though it often gets the inode of one that was there before.
    package func ownerToken(
        of identity: FileStatus,
        path: String,
        log: ReplicationLog
    ) -> Hash128 {
        var hash = ChecksumStream()
        let machine = Self.machineFiles.lazy.compactMap { try? read($0) }.first ?? ""
        let birth = FileSystem.birth(of: path).map { "\($0)" } ?? ""
        for part in [
            randomPart(log), machine, "\(identity.device)", "\(identity.inode)", birth, path,
        ] {
            hash.update(Array(part.utf8) + [0])
        }
        return hash.finish()
    }

    /// machine-id(5), and where D-Bus keeps its own.
    private static let machineFiles = ["/etc/machine-id", "/var/lib/dbus/machine-id"]

    /// The random number; where none can be kept, another one each time.
    private func randomPart(_ log: ReplicationLog) -> String {
        do throws(SystemError) {
            return try keptRandomPart()
        } catch {
            log(
                .warning,
                "the agent cannot keep local files: each start goes on in a child generation",
                [("folder", folder), ("error", "\(error)")]
            )
            return Hex.string(Chance.bits(), digits: 16) + Hex.string(Chance.bits(), digits: 16)
        }
    }

    private func keptRandomPart() throws(SystemError) -> String {
        let path = "\(folder)/owner"
        if let existing = try read(path), Hex.parse(existing.prefix(16), digits: 16) != nil {
            return existing
        }
        let token =
            Hex.string(Chance.bits(), digits: 16)
            + Hex.string(Chance.bits(), digits: 16)
        try FileSystem.makeFolder(folder, mode: 0o700)
        let temporary = "\(path).\(token.prefix(16))"
        let file = try FileDescriptor(
            path: temporary,
            flags: O_WRONLY | O_CREAT | O_TRUNC,
            mode: 0o600
        )
        try file.write(Array(token.utf8), at: 0)
        try file.synchronizeData()
        do {
            try FileSystem.renameExclusively(temporary, to: path)
            return token
        } catch  where error.number == EEXIST {
            // Another replica of the database was first; or what is there is no token.
            if let existing = try read(path), Hex.parse(existing.prefix(16), digits: 16) != nil {
                try FileSystem.remove(temporary)
                return existing
            }
            try FileSystem.rename(temporary, to: path)
            return token
        }
    }

    private func read(_ path: String) throws(SystemError) -> String? {
        guard try FileSystem.status(path) != nil else { return nil }
        let file = try FileDescriptor(path: path, flags: O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: 32)
        var failure: SystemError?
        let count = bytes.withUnsafeMutableBytes { buffer -> Int in
            do throws(SystemError) { return try file.read(into: buffer, at: 0) } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return count == 32 ? String(decoding: bytes, as: UTF8.self) : nil
    }

    /// Removes spooled segments that were sent or can no longer be used: all but those at `kept`.
    package func clearSpool(keeping kept: Set<String>) throws(SystemError) {
        guard try FileSystem.status(spoolFolder) != nil else { return }
        for name in try FileSystem.names(in: spoolFolder) {
            let path = "\(spoolFolder)/\(name)"
            if try FileSystem.status(path)?.isFolder == true {
                var isEmpty = true
                for file in try FileSystem.names(in: path) {
                    if kept.contains("\(path)/\(file)") {
                        isEmpty = false
                    } else {
                        try FileSystem.remove("\(path)/\(file)")
                    }
                }
                if isEmpty { try FileSystem.removeFolder(path) }
            } else {
                try FileSystem.remove(path)
            }
        }
    }
}
