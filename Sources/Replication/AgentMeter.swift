package import Bytes
package import Platform
import Synchronization

/// What an agent tells of itself: written by the threads that do the work, read by whoever reports.
package final class AgentMeter: Sendable {
    /// What an agent is doing.
    package enum Phase: String, Sendable, CaseIterable {
        /// The database is not there yet, or cannot be opened yet.
        case waiting
        /// It finds out where the backup ends.
        case starting
        /// It follows the database.
        case running
        /// It was told to stop.
        case stopped
        /// Something is wrong that time does not mend; it is tried again now and then.
        case failed
    }

    /// One reading.
    package struct Reading: Sendable {
        /// What the agent does.
        package var phase = Phase.waiting
        /// What went wrong last; nil since it went well.
        package var problem: String?
        /// The generation that is written.
        package var generation: GenerationID?
        /// The last commit that was copied, and the last one that is durable.
        package var txid: TXID?
        package var durable: TXID?
        /// When the last durable commit was seen.
        package var durableTime: Timestamp?
        /// Since when something waits to become durable.
        package var pendingSince: MonotonicTime?
        /// Bytes of segments in memory that wait for the store.
        package var pendingBytes = 0
        /// Bytes of the WAL in use.
        package var walBytes: Int64 = 0
        /// Whether a second pin is held beside the first.
        package var holdsTwoPins = false
        /// Resets of the WAL under the write lock, and while the application was quiet.
        package var forcedResets: UInt64 = 0
        package var quietResets: UInt64 = 0
        /// The longest time that the write lock was held, in nanoseconds.
        package var writeLockHeldMax: Int64 = 0
        /// All the time that it was held, in nanoseconds.
        package var writeLockHeld: Int64 = 0
        /// When the last snapshot was stored.
        package var snapshotTime: Timestamp?
        /// Times the agent attached, generations it began, and gaps that a bridge closed.
        package var attachments: UInt64 = 0
        package var generationChanges: UInt64 = 0
        package var bridges: UInt64 = 0
        /// Agents that store into the same place, each time one was found.
        package var otherAgents: UInt64 = 0
        /// Bytes that only the spool has, and whether they are more than they should be.
        package var spooledBytes: Int64 = 0
        package var isSpoolOver = false
        /// Times that what waited was given up, so that the disk did not fill up.
        package var givenUp: UInt64 = 0
        /// Objects that arrived, and their bytes.
        package var uploads: UInt64 = 0
        package var uploadedBytes: UInt64 = 0
        /// Uploads that took no longer than each of `uploadBounds`.
        package var uploadsWithin = [UInt64](repeating: 0, count: AgentMeter.uploadBounds.count)
        /// Time that all uploads took, in nanoseconds.
        package var uploadTime: Int64 = 0
        /// Failures by class: the store's code.
        package var uploadErrors: [String: UInt64] = [:]

        /// Seconds since the oldest commit that is not durable; 0 when all are.
        package var unsyncedSeconds: Double {
            pendingSince.map { max(0, Double(MonotonicTime.now - $0) / 1e9) } ?? 0
        }

        /// Commits that were copied and are not durable yet.
        package var pendingCommits: UInt64 {
            guard let txid else { return 0 }
            return txid.rawValue - min(durable?.rawValue ?? 0, txid.rawValue)
        }
    }

    /// Bounds of the histogram of upload times, in seconds.
    package static let uploadBounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

    private struct State {
        var reading = Reading()
        var sync: (@Sendable (SyncRequest) -> Bool)?
        /// Who asked before there was a follower.
        var waiting: [SyncRequest] = []
        var isClosed = false
    }

    private let state = Mutex(State())

    /// A meter of an agent that has not begun.
    package init() {}

    /// What is known now.
    package var reading: Reading { state.withLock { $0.reading } }

    /// Changes what is known.
    package func update(_ body: (inout Reading) -> Void) {
        state.withLock { body(&$0.reading) }
    }

    /// An object arrived after `time` nanoseconds.
    func uploaded(bytes: UInt64, in time: Int64) {
        update { reading in
            reading.uploads += 1
            reading.uploadedBytes += bytes
            reading.uploadTime += time
            let seconds = Double(time) / 1e9
            for (index, bound) in Self.uploadBounds.enumerated() where seconds <= bound {
                reading.uploadsWithin[index] += 1
            }
        }
    }

    /// What waited for the store was given up.
    func gaveUp() {
        update { reading in
            reading.phase = .waiting
            reading.givenUp += 1
            reading.pendingBytes = 0
            reading.spooledBytes = 0
        }
    }

    /// An upload failed.
    func uploadFailed(_ kind: String, problem: String) {
        update { reading in
            reading.uploadErrors[kind, default: 0] += 1
            reading.problem = problem
        }
    }

    /// The agent follows the database, and writes this generation.
    func began(generation: GenerationID?, isBridged: Bool) {
        update { reading in
            reading.phase = .running
            reading.problem = nil
            if reading.generation != nil, generation != reading.generation {
                reading.generationChanges += 1
            }
            reading.generation = generation
            reading.bridges += isBridged ? 1 : 0
        }
    }

    /// A follower can be asked from now on; nil when it no longer can.
    func follow(_ sync: (@Sendable (SyncRequest) -> Bool)?) {
        let waiting = state.withLock { state -> [SyncRequest] in
            state.sync = sync
            guard sync != nil else { return [] }
            defer { state.waiting = [] }
            return state.waiting
        }
        guard let sync else { return }
        for request in waiting where !sync(request) { request.complete(false) }
    }

    /// Nothing will be followed any more: whoever waits for it is told.
    package func close() {
        let waiting = state.withLock { state -> [SyncRequest] in
            state.isClosed = true
            state.sync = nil
            defer { state.waiting = [] }
            return state.waiting
        }
        for request in waiting { request.complete(false) }
    }

    /// Asks for everything that is committed now to become durable, and calls `answer` once it is.
    /// False when the agent does not follow the database, or stopped before; with `waitsForStart`,
    /// only when it stopped before.
    package func requestSync(
        waitsForStart: Bool = false,
        _ answer: @Sendable @escaping (Bool) -> Void
    ) {
        let request = SyncRequest(complete: answer)
        let sync = state.withLock { state -> (@Sendable (SyncRequest) -> Bool)? in
            if state.sync == nil, waitsForStart, !state.isClosed {
                state.waiting.append(request)
                return { _ in true }
            }
            return state.sync
        }
        if sync?(request) != true { answer(false) }
    }

    /// Waits for what `requestSync` asks for.
    package func sync(waitsForStart: Bool = false) async -> Bool {
        await withCheckedContinuation { continuation in
            requestSync(waitsForStart: waitsForStart) { continuation.resume(returning: $0) }
        }
    }
}

extension Follower {
    /// Tells the meter how things stand, after each round.
    func report(to meter: AgentMeter) {
        let isDurable = batch == nil && unsafeSegments.isEmpty && hasBase
        let since = unsafeSegments.first?.since ?? firstUnsealed
        meter.update { reading in
            reading.txid = txid
            reading.durable = durableTXID
            if let arrivedTime { reading.durableTime = arrivedTime }
            reading.pendingSince = isDurable ? nil : since ?? reading.pendingSince ?? .now
            reading.pendingBytes = queue.pendingBytes
            reading.spooledBytes = spooledBytes
            reading.isSpoolOver = isSpoolOver && spooledBytes > 0
            reading.walBytes = Int64(position.frame) * Int64(pageSize.bytes + 24)
            reading.holdsTwoPins = pins.isNewerHeld
            reading.forcedResets += statistics.forcedResets - reported.forcedResets
            reading.quietResets += statistics.quietResets - reported.quietResets
            reading.writeLockHeldMax = max(reading.writeLockHeldMax, statistics.writeLockHeldMax)
            reading.writeLockHeld += statistics.writeLockHeld - reported.writeLockHeld
            if isDurable { reading.problem = nil }
        }
        reported = statistics
    }
}
