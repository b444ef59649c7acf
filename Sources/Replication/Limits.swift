/// Bounds of what replication does at a time.
package enum Limits {
    /// Threads that drive followers.
    package static let loopThreads = 4
    /// Objects on their way to one place.
    package static let uploadsPerPlace = 16
    /// Databases that attach and send their base to one place at a time.
    package static let startsPerPlace = 8
}
