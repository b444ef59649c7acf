import Platform
import Restore
import SQLiteAccess

/// Lets SQLite check a restored file before it is handed over.
enum SQLiteCheck {
    /// The check of a file that no other process has open.
    static func closure(
        _ depth: IntegrityCheck.Depth,
        on executor: ThreadExecutor
    ) -> @Sendable (String) async throws -> Void {
        { path in
            let problems: [String] = try await executor.run {
                do throws(SQLiteError) {
                    return try IntegrityCheck.problems(of: path, depth: depth)
                } catch {
                    // It may be damaged too badly to be checked.
                    guard error.isDamage else { throw error }
                    return [error.message]
                }
            }
            guard let first = problems.first else { return }
            throw RestoreError(
                .integrity,
                "SQLite's \(depth.rawValue) check finds the state damaged, as it was when it was "
                    + "backed up: \(first); nothing was written. An earlier target may be whole; "
                    + "without -integrity-check the file is handed over as it was"
            )
        }
    }
}
