import Platform

/// What becomes of commits while the store takes none for so long that the database's disk is
/// filling up (DESIGN §3).
package struct OutagePolicy: Sendable, Hashable {
    /// What is more important then.
    package enum Choice: String, Sendable, CaseIterable {
        /// The backup: everything is kept for as long as the disk has room, and an alarm is raised.
        case protectBackup = "protect-backup"
        /// The application: what waits is given up and the database let go of. Once the store is
        /// back, the difference is stored as one commit. Nothing that was durable is lost, and
        /// nothing is ever called durable that is not.
        case protectApplication = "protect-app"
    }

    /// What is more important.
    package var choice = Choice.protectBackup
    /// Bytes of segments in the spool of one database and place.
    package var spoolLimit: Int64 = 10 << 30
    /// The share of the disk that stays free.
    package var freeShare = 0.1

    /// The defaults: the backup, 10 GiB, a tenth of the disk.
    package init() {}

    /// Why no more may be kept, or nil. `waiting` is how many bytes of the disk already wait for
    /// the store. Blocks while the disk is looked at.
    func reasonToStop(waiting: Int64, near path: String) -> String? {
        if waiting > spoolLimit { return "\(waiting) bytes wait for the store" }
        guard waiting > 0, let space = try? FileSystem.space(at: FileSystem.folder(of: path)),
            Double(space.free) < Double(space.total) * freeShare
        else { return nil }
        return "\(waiting) bytes wait for the store, and the disk has \(space.free) bytes free"
    }
}
