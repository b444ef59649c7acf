import BackupCatalog
import Bytes
import Maintenance
import ObjectStorage
import Platform
import SegmentFormat
import WALFormat

@testable import Replication

/// How the agents of one history are set up.
struct AgentSettings {
    var syncInterval: Int64 = 0
    var walResetFrames: FrameIndex = 4000
    var quietResetFrames: FrameIndex = 64
    var claimLookInterval = 5 * Nanoseconds.second
    var maintenance = MaintenanceSettings()
}

/// What an agent tells about its follower after each round, and about how it begins.
protocol AgentObserver: AnyObject {
    func decided(_ begin: FollowerStart, _ decision: FollowerStart.Decision)
    func rounded(_ follower: Follower)
}

/// One process of the agent: the engine's own parts, put together as `Agent.replicate` does, but
/// with the follower's rounds, the requests and the pauses as events of a world.
final class SimulatedAgent: @unchecked Sendable {
    // Sendable: belongs to the thread of its world.
    let world: World
    let path: String
    let life = Life()
    let store: SimulatedStore
    let settings: AgentSettings
    let log: ReplicationLog
    let writer: WriterTag
    weak var observer: (any AgentObserver)?
    private(set) var follower: Follower?
    private(set) var hasEnded = false
    private var task: Task<Void, Never>?
    private var pending: WakeReason = []
    private var round: Sleeper?
    private var stopAt: MonotonicTime?

    init(
        _ world: World,
        path: String,
        bucket: Bucket,
        settings: AgentSettings,
        log: @escaping ReplicationLog
    ) {
        self.world = world
        self.path = path
        self.settings = settings
        self.log = log
        store = SimulatedStore(world: world, bucket: bucket, life: life)
        writer = WriterTag(world.dice.next())
    }

    /// Begins; everything else happens as events of the world.
    func start() {
        task = Task(executorPreference: world.executor) {
            await self.run()
            self.hasEnded = true
        }
    }

    /// The process is killed: nothing of it has an effect any more, the kernel closes its files.
    func kill() {
        life.isAlive = false
        task?.cancel()
        round?.resume(false)
        world.executor.drain()
    }

    /// A stop is requested.
    func stop(within nanoseconds: Int64) {
        stopAt = MonotonicTime(nanoseconds: world.now + nanoseconds)
        wake(.signal, after: 0)
    }

    /// Something has happened that the kernel or the uploader tells the follower.
    func wake(_ reason: WakeReason, after nanoseconds: Int64) {
        world.schedule(after: nanoseconds) { [self] in
            pending.formUnion(reason)
            round?.resume(true)
        }
    }

    private func run() async {
        var mayContinue = true
        while life.isAlive {
            do {
                try await replicate(mayContinue: mayContinue)
                return
            } catch {
                guard life.isAlive else { return }
                log(.error, "following stopped", [("reason", "\(error)")])
                mayContinue = (error as? ReplicationError)?.code != .superseded
                guard stopAt == nil, await world.wait(Nanoseconds.second) else { return }
            }
        }
    }

    private func replicate(mayContinue: Bool) async throws {
        let begin = FollowerStart(
            path: path,
            displayPath: path,
            writer: writer,
            version: "simulated",
            local: LocalState(databasePath: path, place: "bucket"),
            syncInterval: settings.syncInterval,
            mayContinue: mayContinue,
            log: log
        )
        begin.levels = settings.maintenance.isEnabled ? settings.maintenance.levels : nil
        begin.tuning = { [settings] configuration in
            configuration.walResetFrames = settings.walResetFrames
            configuration.quietResetFrames = settings.quietResetFrames
        }
        let owner = try begin.open()
        let tip = try await endOfBackup(owner)
        let wanted = try begin.attach(tip: tip)
        let index = try await pageHashes(begin, wanted)
        let ownership = Ownership(store: store, interval: settings.claimLookInterval)
        if let goesOn = try begin.decide(index: index, restored: nil) {
            if let decision = begin.decision { observer?.decided(begin, decision) }
            try await ownership.claim(goesOn.generation, writer: writer, after: goesOn.after)
        } else if let generation = begin.generation {
            if let decision = begin.decision { observer?.decided(begin, decision) }
            ownership.begin(generation, parent: begin.parent)
        }
        guard life.isAlive else { throw CancellationError() }
        try await follow(begin, ownership)
    }

    private func endOfBackup(_ owner: Hash128) async throws -> StoreTip? {
        while true {
            do {
                return try await StoreTip.find(in: store, owner: owner, log: log)
            } catch let error as StoreError where error.isRetryable {
                guard await world.wait(Nanoseconds.second), life.isAlive else {
                    throw CancellationError()
                }
            }
        }
    }

    private func pageHashes(
        _ begin: FollowerStart,
        _ wanted: [PageHashIndex.Wanted]
    ) async throws -> PageHashIndex? {
        guard !wanted.isEmpty, let tip = begin.indexedTip else { return nil }
        do {
            return try await Catalog(store: store).pageHashes(
                of: tip.generation,
                at: tip.resume.txid,
                searching: wanted
            )
        } catch let error where error is CatalogError || error is SegmentError {
            log(.error, "the indexes of the backup cannot be read", [("error", "\(error)")])
            return nil
        }
    }

    private func follow(_ begin: FollowerStart, _ ownership: Ownership) async throws {
        let signal = FollowerSignal(id: 0) { [self] in
            wake(.signal, after: world.dice.number(0...2_000_000))
        }
        let lanes = UploadLanes(signal: signal, memory: MemoryBudget(limit: 64 << 20))
        let destination = Destination(store: store, name: "bucket")
        let rounds = MaintenanceRounds(
            settings: settings.maintenance,
            databasePath: path,
            store: store,
            writer: writer,
            ownership: ownership,
            lanes: lanes,
            gate: destination.maintenance,
            log: log
        )
        let ended = StopRequest()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for queue in [lanes.log, lanes.snapshots] {
                let uploader = Uploader(
                    queue: queue,
                    destination: destination,
                    ownership: ownership,
                    meter: AgentMeter(),
                    log: log
                )
                group.addTask { await uploader.run() }
            }
            group.addTask { await rounds.run(until: ended) }
            group.addTask { [self] in
                defer {
                    follower = nil
                    lanes.close()
                    ended.request()
                }
                try await self.rounds(of: try begin.follower(lanes: lanes, signal: signal))
            }
            do {
                for try await _ in group {}
            } catch {
                lanes.close()
                group.cancelAll()
                throw error
            }
        }
    }

    private func rounds(of follower: Follower) async throws {
        self.follower = follower
        var reason: WakeReason = [.wal, .signal]
        while life.isAlive {
            guard let next = try follower.round(reason, stopAt: stopAt, syncs: []) else {
                return follower.ended()
            }
            observer?.rounded(follower)
            if pending.isEmpty {
                let round = Sleeper()
                self.round = round
                // A thread never wakes up earlier than it should, but often later.
                let late = world.dice.number(0...300_000)
                world.schedule(after: next.nanoseconds - world.now + late) { round.resume(true) }
                guard await round.wait() else { break }
                self.round = nil
            }
            reason = pending.isEmpty ? .deadline : pending
            pending = []
        }
        throw CancellationError()
    }
}
