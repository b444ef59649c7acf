import Synchronization

/// Bytes in memory that all databases of a process may have waiting for their stores.
///
/// Whoever has something waiting adds no more while it is exceeded: its commits wait in the WAL, or
/// in the spool when the WAL is large. Who has nothing may always add one object, so that each
/// database goes on.
package final class MemoryBudget: Sendable {
    /// The most bytes before it counts as exceeded.
    package let limit: Int
    private let used = Atomic(0)

    /// A budget of `limit` bytes.
    package init(limit: Int) { self.limit = limit }

    /// Bytes in use.
    package var bytes: Int { used.load(ordering: .relaxed) }

    /// Whether more is in use than should be.
    var isExceeded: Bool { bytes >= limit }

    /// So many bytes more, or fewer.
    func add(_ bytes: Int) { used.wrappingAdd(bytes, ordering: .relaxed) }
}
