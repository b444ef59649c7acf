import Platform

/// What bounds the work that a process does beside replication.
enum SupervisionLimits {
    /// Memory of a verification, in bytes: the least that a restore can be told to use. One runs at
    /// a time, and nobody waits for it.
    static let verificationMemoryBytes = 32 << 20
    /// Its requests in flight, and tasks that decode: fewer than a disk or the processors serve, so
    /// that what is replicated meanwhile does not wait.
    static let verificationParallelism = 2
    /// Its threads.
    static let verificationThreads = 3
    /// Their niceness: whatever else the machine does comes first.
    static let verificationNiceness: Int32 = 10
    /// Between an attempt that could not be made and the next one, at most, in nanoseconds.
    static let verificationRetryPause = 600 * Nanoseconds.second
    /// Between two looks at what seems to be missing, the first time, in nanoseconds: long enough
    /// for a round of retention that is on its way to get on.
    static let verificationLookPause = 2 * Nanoseconds.second
    /// Findings that are logged one by one.
    static let findingsLogged = 10
}
