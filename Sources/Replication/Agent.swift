import BackupCatalog
package import Bytes
package import Hazards
import ObjectStorage
import Platform
import SegmentFormat

/// Replicates one database to one store until it is told to stop.
package struct Agent: Sendable {
    /// The database's path as the user named it.
    package var databasePath: String
    /// Where the backup goes.
    package var destination: Destination
    /// The least time between two uploads, in nanoseconds.
    package var syncInterval: Int64 = Nanoseconds.second
    /// Ends the agent.
    package var stop: StopRequest
    /// Where log lines go.
    package var log: ReplicationLog
    /// What all databases of the process share.
    package var host: ReplicationHost
    /// What may be set about the guards against unsafe set-ups.
    package var hazards = HazardOptions()
    /// The hazards found so far.
    package let alarm = HazardAlarm()

    /// An agent with the default cadence.
    package init(
        databasePath: String,
        destination: Destination,
        stop: StopRequest,
        host: ReplicationHost,
        log: @escaping ReplicationLog
    ) {
        self.databasePath = databasePath
        self.destination = destination
        self.stop = stop
        self.host = host
        self.log = log
    }

    /// How long to wait before attaching again after a hazard.
    private static let reattachPause = 200 * Nanoseconds.millisecond

    /// Runs until the stop is requested and the last commits are durable.
    package func run() async throws {
        while true {
            guard
                let path = try await DatabaseWait.ready(
                    databasePath,
                    stop: stop,
                    executor: host.executor,
                    log: log
                )
            else { return }
            let watch = try await guardStart(path)
            do {
                try await watch.during(on: host.executor) { try await replicate(path) }
                return
            } catch let error as ReplicationError where error.isRetryable && !stop.isRequested {
                log(.error, "following stopped, attaching again", [("reason", error.message)])
                await stop.pause(nanoseconds: Self.reattachPause)
            }
        }
    }

    /// One attachment: from finding out where the store ends to the last upload.
    private func replicate(_ path: String) async throws {
        let start = StartSlot(destination.starts)
        await start.take()
        defer { start.giveBack() }
        let local = LocalState(databasePath: path, place: destination.name)
        let owner = try await host.executor.run { try local.ownerToken() }
        let tip = try await StoreTip.find(in: destination.store, owner: owner, log: log)
        let signal = host.loop.newSignal()
        let queue = UploadQueue(signal: signal)
        let uploader = Uploader(queue: queue, destination: destination, log: log)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: host.executor) { await uploader.run() }
            group.addTask(executorPreference: host.executor) {
                defer { queue.close() }
                let begin = FollowerStart(
                    path: path,
                    displayPath: databasePath,
                    writer: host.writer,
                    owner: owner,
                    version: host.version,
                    local: local,
                    syncInterval: syncInterval,
                    alarm: alarm
                )
                let hosted = try await host.executor.run {
                    let follower = try begin.follower(
                        tip: tip,
                        queue: queue,
                        signal: signal,
                        log: log
                    )
                    follower.whenSettled = { start.giveBack() }
                    return HostedFollower(follower, id: signal.id)
                }
                try await host.loop.follow(hosted, stop: stop)
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
