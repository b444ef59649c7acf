import Glibc
import Platform

/// A lock on a file beside the database, held as long as an agent follows it to one place: a second
/// agent on the same machine is refused before it does anything.
///
/// The kernel gives it back when the process ends, however that happens. The file is ours: no lock
/// of SQLite's is on it.
final class AgentLock: Sendable {
    private let file: FileDescriptor

    private init(owning file: consuming FileDescriptor) { self.file = file }

    /// Takes the lock. Nil where no local file can be kept.
    ///
    /// - Throws: `ReplicationError.ownedByAnother` while another process has it.
    static func take(
        path: String,
        database: String,
        log: ReplicationLog
    ) throws(ReplicationError) -> AgentLock? {
        do throws(SystemError) {
            try FileSystem.makeFolder(FileSystem.folder(of: path), mode: 0o700)
            let flags = O_RDWR | O_CREAT | O_CLOEXEC
            let file = try FileDescriptor(path: path, flags: flags, mode: 0o600)
            if try file.lockExclusively() { return AgentLock(owning: file) }
        } catch {
            log(
                .warning,
                "no lock can be kept beside the database: a second agent would not be noticed here",
                [("database", database), ("error", "\(error)")]
            )
            return nil
        }
        throw ReplicationError(
            .ownedByAnother,
            "another agent already replicates '\(database)' to this place; "
                + "end it first ('highwater stop', or its service)"
        )
    }
}
