package import Bytes
package import ObjectStorage
package import Platform
import SQLiteAccess
import SegmentFormat
import WALFormat

/// Replicates one database to one store until it is told to stop.
package struct Agent: Sendable {
    /// The database's path as the user named it.
    package var databasePath: String
    /// Where the backup goes.
    package var store: any ObjectStore
    /// The least time between two uploads, in nanoseconds.
    package var syncInterval: Int64 = Nanoseconds.second
    /// Ends the agent.
    package var stop: StopRequest
    /// Where log lines go.
    package var log: ReplicationLog
    /// Threads for calls that block; at least two.
    package var executor: ThreadExecutor
    /// The version that goes into generation.json.
    package var version: String

    /// An agent with the default cadence.
    package init(
        databasePath: String,
        store: any ObjectStore,
        stop: StopRequest,
        executor: ThreadExecutor,
        version: String,
        log: @escaping ReplicationLog
    ) {
        self.databasePath = databasePath
        self.store = store
        self.stop = stop
        self.executor = executor
        self.version = version
        self.log = log
    }

    /// How long to wait before attaching again after a hazard.
    private static let reattachPause = 200 * Nanoseconds.millisecond

    /// Runs until the stop is requested and the last commits are durable.
    package func run() async throws {
        let writer = WriterTag(Chance.bits())
        while true {
            let ready = try await executor.run { [self] in
                try DatabaseWait.ready(databasePath, stop: stop, log: log)
            }
            guard let path = ready else { return }
            do {
                try await replicate(path, writer: writer)
                return
            } catch let error as ReplicationError where error.isRetryable && !stop.isRequested {
                log(.error, "following stopped, attaching again", [("reason", error.message)])
                try await executor.run { try Readiness.pause(nanoseconds: Self.reattachPause) }
            }
        }
    }

    /// One attachment: from finding out where the store ends to the last upload.
    private func replicate(_ path: String, writer: WriterTag) async throws {
        let local = LocalState(databasePath: path)
        let owner = try await executor.run { try local.ownerToken() }
        let tip = try await StoreTip.find(in: store, owner: owner, log: log)
        let queue = UploadQueue(wakeUp: stop.wakeUpFlag)
        let uploader = Uploader(queue: queue, store: store, log: log)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: executor) { await uploader.run() }
            group.addTask(executorPreference: executor) {
                defer { queue.close() }
                let start = FollowerStart(
                    path: path,
                    displayPath: databasePath,
                    writer: writer,
                    owner: owner,
                    version: version,
                    local: local,
                    syncInterval: syncInterval
                )
                let follower = try start.follower(
                    tip: tip,
                    queue: queue,
                    stop: stop,
                    log: log
                )
                try follower.run()
            }
            do {
                for try await _ in group {}
            } catch {
                queue.close()
                group.cancelAll()
                throw error
            }
        }
    }
}

/// Where the store's newest generation that is ours ends.
package struct StoreTip: Sendable {
    /// The generation.
    package var generation: GenerationID
    /// The place to go on from.
    package var resume: ResumePoint

    /// A tip.
    package init(generation: GenerationID, resume: ResumePoint) {
        self.generation = generation
        self.resume = resume
    }
}
