import Bytes
import Platform
import SQLiteAccess
import WALFormat

/// How a loop drives a follower: by rounds that never wait.
extension Follower {
    /// Safety polls fall on a grid, so that many idle databases are looked at in one go.
    private static let pollGrid = 250 * Nanoseconds.millisecond
    /// Where the kernel gives no events.
    private static let unwatchedPollInterval = Nanoseconds.second
    /// While the last commits are on their way to the store.
    private static let finishInterval = 10 * Nanoseconds.millisecond

    /// Somebody who waits for a commit to be durable.
    struct PendingSync {
        /// The last commit when the request was seen; nil until all that was there is copied.
        var txid: TXID?
        let request: SyncRequest
    }

    /// One round for what has happened; when the next one is due, or nil when the follower was
    /// asked to stop and everything is durable.
    ///
    /// - Throws: `notDurable` when the store did not take the last commits before `stopAt`.
    func round(
        _ reason: WakeReason,
        stopAt: MonotonicTime?,
        syncs requests: [SyncRequest]
    ) throws -> MonotonicTime? {
        let now = MonotonicTime.now
        if reason.contains(.wal) { commitWatch.start(now) }
        if reason.contains(.database) { checkpointWatch.start(now) }
        if reason.contains(.names) { try checkIdentity() }
        syncs += requests.map { PendingSync(request: $0) }
        try step()
        wal.releaseLargeSlab()
        if hasBase { whenSettled.take()?() }
        completeSyncs()
        if let meter { report(to: meter) }
        if let stopAt {
            if try isFinished(stopAt) { return nil }
            return min(nextDeadline(now), now + Self.finishInterval)
        }
        return nextDeadline(now)
    }

    /// A time for the next look without an event.
    func laterSafetyPoll(_ now: MonotonicTime) -> MonotonicTime {
        let time = now + safetyPollInterval
        return time + (Self.pollGrid - time.nanoseconds % Self.pollGrid)
    }

    /// The kernel gives no events: the safety poll has to do.
    func watchFailed(_ error: SystemError) {
        isWatched = false
        safetyPollInterval = Self.unwatchedPollInterval
        nextSafetyPoll = .now
        log(
            .warning,
            "the kernel's file events are not to be had: looking once a second",
            [
                ("database", configuration.databasePath), ("error", "\(error)"),
                ("remedy", "raise fs.inotify.max_user_watches"),
            ]
        )
    }

    /// True when the last commits are copied, sealed, and durable.
    private func isFinished(_ deadline: MonotonicTime) throws -> Bool {
        if !isFinishing {
            isFinishing = true
            log(.info, "final sync", [("database", configuration.databasePath)])
        }
        if batch != nil,
            unsafeSegments.isEmpty || !queue.isFull(configuration.pendingBytesMax)
        {
            try seal()
        }
        if isEverythingDurable { return true }
        guard MonotonicTime.now < deadline else {
            throw ReplicationError(
                .notDurable,
                "the store did not take the last commits of '\(configuration.databasePath)' in "
                    + "time; they are in its WAL and will be sent at the next start"
            )
        }
        return false
    }

    private var isEverythingDurable: Bool {
        batch == nil && unsafeSegments.isEmpty && hasBase && queue.durable == nextItem - 1
    }

    /// The last commit that is durable; nil before the base is.
    var durableTXID: TXID? { hasBase ? arrived : nil }

    private func completeSyncs() {
        guard !syncs.isEmpty else { return }
        if let header = index.header(), header.salts == position.salts,
            header.mxFrame == position.frame
        {
            for index in syncs.indices { syncs[index].txid = syncs[index].txid ?? txid }
        }
        guard let durable = durableTXID else { return }
        syncs.removeAll { sync in
            guard let txid = sync.txid, txid <= durable else { return false }
            sync.request.complete(true)
            return true
        }
    }

    /// The follower lets go of the database.
    func ended() {
        reportEnd()
        if let meter { report(to: meter) }
        for sync in syncs { sync.request.complete(false) }
        syncs = []
    }
}
