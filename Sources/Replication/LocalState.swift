import Bytes
import Glibc
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

    /// FNV-1a of a text: a short name that stays the same.
    private static func hash(_ text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Hex.string(hash, digits: 16)
    }

    /// The random number that says which generations are ours; made when it is missing.
    package func ownerToken() throws(SystemError) -> String {
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

    /// Removes spooled segments of one generation: they were sent, or can no longer be used.
    package func clearSpool() throws(SystemError) {
        guard try FileSystem.status(spoolFolder) != nil else { return }
        for name in try FileSystem.names(in: spoolFolder) {
            let path = "\(spoolFolder)/\(name)"
            if try FileSystem.status(path)?.isFolder == true {
                for file in try FileSystem.names(in: path) {
                    try FileSystem.remove("\(path)/\(file)")
                }
                try FileSystem.removeFolder(path)
            } else {
                try FileSystem.remove(path)
            }
        }
    }
}
