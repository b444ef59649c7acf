/// Bounds of what replication does at a time.
package enum Limits {
    /// Bytes in memory that wait for stores, of all databases together.
    package static let memoryBytes = 256 << 20
    /// Open files of a database that nothing happens to.
    package static let descriptorsPerDatabase = 6
    /// Open files that are for no database in particular, at least.
    package static let descriptorsSpared = 64
    /// Threads that drive followers.
    package static let loopThreads = 4
    /// Objects on their way to one place.
    package static let uploadsPerPlace = 16
    /// Databases that attach and send their base to one place at a time.
    package static let startsPerPlace = 8
    /// Databases that look through their backups in one place, to merge and delete, at a time.
    package static let maintenancePerPlace = 2
    /// Between two attempts to attach to a database, in nanoseconds.
    package static let attachPauseMin: Int64 = 200_000_000
    /// The same, at most.
    package static let attachPauseMax: Int64 = 10_000_000_000
    /// From work that needed memory to giving it back, in nanoseconds.
    package static let freedMemoryPause: Int64 = 2_000_000_000
    /// How often a generation is claimed when others claim it, too.
    package static let claimAttempts = 8
    /// Between two looks for newer claims while something is uploaded, in nanoseconds.
    package static let claimLookInterval: Int64 = 300_000_000_000
    /// The same directly after attaching, and always in a folder: another agent that does not know
    /// of this one has mostly been started a moment ago.
    package static let claimLookIntervalFirst: Int64 = 3_000_000_000
    /// Other generations that are looked at for a sign of life at a time.
    package static let rivalsPerLook = 32
    /// Between two attempts to find out where the backup ends, in nanoseconds.
    package static let storePauseMin: Int64 = 500_000_000
    /// The same, at most.
    package static let storePauseMax: Int64 = 30_000_000_000
}
