import Platform
import Synchronization

/// Gives memory back to the kernel after work that needed much of it for a moment: the listings of
/// a start, the plans of maintenance.
///
/// The allocator keeps what lies free between blocks in use, in each thread's heap, and an agent's
/// size would follow the number of objects in its stores.
final class FreedMemory: Sendable {
    private let isDue = Mutex(false)
    /// Gives it back once what goes on now has ended; of many calls within that time one counts.
    func giveBackSoon() {
        let isFirst = isDue.withLock { due in
            defer { due = true }
            return !due
        }
        guard isFirst else { return }
        // A process that cannot have a thread has other worries.
        try? DedicatedThread.start { [self] in
            try? Readiness.pause(nanoseconds: Limits.freedMemoryPause)
            isDue.withLock { $0 = false }
            Memory.giveBackFreed()
        }
    }
}
