/// Bounds of what is read from the kernel and from peers.
package enum Limits {
    /// Bytes of `/proc/self/mountinfo`.
    static let mountInfoBytes = 4 * 1024 * 1024
    /// Bytes of `/proc/locks`.
    static let lockTableBytes = 4 * 1024 * 1024
    /// Bytes of a process's `maps`.
    static let mapsBytes = 4 * 1024 * 1024
    /// Descriptors of one process that are looked at.
    static let descriptorsPerProcess = 65_536
    /// Bytes of one heartbeat or greeting; a larger one is not ours.
    static let noteBytes = 8 * 1024
    /// Heartbeats or greetings that are read from one folder.
    static let notesPerFolder = 256
    /// Bytes of a shared library that are searched for SQLite's version.
    static let libraryBytes = 64 * 1024 * 1024
    /// Polls with the same violation before it is looked into under the write lock.
    static let suspiciousPolls = 3
    /// Checks under the write lock that may fail to get it before the alarm comes without one.
    static let verificationAttempts = 20
}
