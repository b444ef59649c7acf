import Platform
import Restore

/// What tells that a database was written to meanwhile: its file and its WAL.
struct DatabaseMark: Equatable, Sendable {
    private let file: FileStatus?
    /// Nil also for an empty WAL, which a reader may make.
    private let wal: FileStatus?

    /// The database as it is now.
    init(_ path: String) throws(SystemError) {
        file = try FileSystem.status(path)
        let status = try FileSystem.status(path + "-wal")
        wal = status.flatMap { $0.size > 0 ? $0 : nil }
    }
}

extension Restorer {
    /// Refuses to replace a database that is written to between now and the publication: its new
    /// commits would be lost.
    mutating func refuseChanges(of path: String) throws(SystemError) {
        let mark = try DatabaseMark(path)
        let check = self.check
        self.check = { file in
            try await check?(file)
            guard try DatabaseMark(path) == mark else {
                throw RestoreError(
                    .unsafeOutput,
                    "'\(path)' was written to meanwhile, and was left as it is; stop the "
                        + "application and try again"
                )
            }
        }
    }
}
