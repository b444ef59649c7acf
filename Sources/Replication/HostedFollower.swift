import Platform

/// A follower in the hands of a loop.
///
/// `pending`, `isQueued`, `isRunning`, `deadline`, `stopAt` and `syncs` are read and written under
/// the loop's lock only; `follower` by the thread that set `isRunning` under that lock, or before
/// the loop has it; `completion` is set before and taken by the thread that ends it.
// Sendable: see above; each property has one owner at any time.
final class HostedFollower: @unchecked Sendable {
    let id: Int
    let databasePath: String
    let shutdownTime: Int64
    private var follower: Follower?
    var completion: CheckedContinuation<Void, any Error>?

    var pending: WakeReason = []
    var isQueued = false
    var isRunning = false
    var deadline: MonotonicTime?
    var stopAt: MonotonicTime?
    var syncs: [SyncRequest] = []

    init(_ follower: Follower, id: Int) {
        self.id = id
        self.follower = follower
        databasePath = follower.configuration.databasePath
        shutdownTime = follower.configuration.shutdownTime
    }

    /// Takes what has come since the last round. Under the loop's lock.
    func takePending() -> (WakeReason, MonotonicTime?, [SyncRequest]) {
        defer {
            pending = []
            syncs = []
        }
        return (pending, stopAt, syncs)
    }

    /// Called before a round does what may take long.
    func beforeLong(_ body: @escaping () -> Void) { follower?.beforeLong = body }

    /// One round; when the next one is due, or nil when the follower is done.
    func round(
        _ reason: WakeReason,
        stopAt: MonotonicTime?,
        syncs: [SyncRequest]
    ) throws -> MonotonicTime? {
        guard let follower else { return nil }
        return try follower.round(reason, stopAt: stopAt, syncs: syncs)
    }

    /// The kernel gives no events for this database.
    func watchFailed(_ error: SystemError) { follower?.watchFailed(error) }

    /// Lets go of the database, then tells who waits.
    func finish(_ result: Result<Void, any Error>) {
        follower?.ended()
        follower?.beforeLong = nil
        follower = nil
        for sync in syncs { sync.complete(false) }
        completion.take()?.resume(with: result)
    }
}

/// Wakes one follower up.
struct FollowerSignal: Sendable {
    let id: Int
    /// Any thread may raise it.
    let raise: @Sendable () -> Void
}

/// Somebody waits until everything that was committed by now is durable.
struct SyncRequest: Sendable {
    /// Called once: true when it is, false when the follower ended before.
    let complete: @Sendable (Bool) -> Void
}

/// Deadlines of followers, the next one first. An entry counts only while it is its follower's
/// newest deadline; the others are passed over when they come up.
struct DeadlineHeap {
    private var entries: [(time: MonotonicTime, hosted: HostedFollower)] = []

    var first: MonotonicTime? { entries.first?.time }

    mutating func push(_ hosted: HostedFollower, at time: MonotonicTime) {
        entries.append((time, hosted))
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entries[child].time < entries[parent].time else { return }
            entries.swapAt(child, parent)
            child = parent
        }
    }

    /// The next follower whose deadline has passed, once.
    mutating func popDue(_ now: MonotonicTime) -> HostedFollower? {
        while let first = entries.first, first.time <= now {
            removeFirst()
            guard first.hosted.deadline == first.time else { continue }
            first.hosted.deadline = nil
            return first.hosted
        }
        return nil
    }

    private mutating func removeFirst() {
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count {
                if entries[child].time < entries[least].time { least = child }
            }
            guard least != parent else { return }
            entries.swapAt(least, parent)
            parent = least
        }
    }
}
