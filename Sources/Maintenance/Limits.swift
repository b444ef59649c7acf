/// What bounds maintenance.
package enum MaintenanceLimits {
    /// The longest log segment or pack that is merged into a pack, in bytes.
    package static let packMemberBytes: UInt64 = 4 << 20
    /// The longest pack that is made, in bytes of its members: it is built in memory.
    package static let packBytes: UInt64 = 8 << 20
    /// The most members merged at a time.
    package static let packMembers = 4096
    /// What is read of an object at a time to check it.
    static let checkBytes: UInt64 = 1 << 20
    /// Keys deleted by one request.
    static let keysPerDelete = 500
    /// A level built without an agent holds its pages in memory; larger windows are left alone.
    package static let offlineLevelBytes = 64 << 20
    /// How far this machine's clock and the store's may differ, in milliseconds.
    package static let clockDifference: Int64 = 180_000
}

/// Milliseconds.
enum Milliseconds {
    static let minute: Int64 = 60_000
    static let hour: Int64 = 3_600_000
    static let day: Int64 = 86_400_000
}
