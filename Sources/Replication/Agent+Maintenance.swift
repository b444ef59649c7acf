import BackupCatalog
import Bytes
package import Maintenance
import ObjectStorage
import Platform
import SegmentFormat

/// What an agent does for its store beside sending commits (DESIGN §5).
package struct MaintenanceSettings: Sendable {
    /// Whether the agent merges, deletes and takes new snapshots at all.
    package var isEnabled = true
    /// What is kept.
    package var retention = RetentionRules()
    /// When a new snapshot is taken.
    package var snapshots = SnapshotPolicy()
    /// Which levels are built, while the database is followed.
    package var levels = LevelPolicy()
    /// Between two rounds, in nanoseconds. A database without commits makes none.
    package var interval: Int64 = 3600 * Nanoseconds.second

    /// The defaults.
    package init() {}
}

/// The maintenance of one database's backup while it is followed: packs, new snapshots, retention.
struct MaintenanceRounds {
    let settings: MaintenanceSettings
    let databasePath: String
    let store: any ObjectStore
    let writer: WriterTag
    let ownership: Ownership
    let lanes: UploadLanes
    /// Lets few databases of one place list and plan at a time: each holds what it found in memory.
    let gate: TaskGate
    /// Gets to know when a round is over, which needed memory.
    var freed: FreedMemory?
    let log: ReplicationLog

    /// Rounds until a stop is requested. What fails is logged, and tried again with the next round.
    func run(until stop: StopRequest) async {
        guard settings.isEnabled else { return }
        var seen = lanes.log.durable
        // Databases that start together do not all ask the store at the same time.
        var pause = settings.interval / 2 + Int64(Chance.bits() % UInt64(settings.interval / 2 + 1))
        while !stop.isRequested, !Task.isCancelled {
            await stop.pause(nanoseconds: pause)
            pause = settings.interval
            let durable = lanes.log.durable
            guard durable != seen, await gate.acquire(until: stop) else { continue }
            defer {
                gate.release()
                freed?.giveBackSoon()
            }
            do {
                guard let generation = ownership.generation, try await ownership.mayUpload() else {
                    continue
                }
                try await round(generation)
                seen = durable
            } catch {
                log(
                    .error,
                    "maintenance of the backup failed, will be tried again",
                    [("database", databasePath), ("error", "\(error)")]
                )
            }
        }
    }

    /// One round: what may be deleted, what can be merged, whether a snapshot is due.
    func round(_ generation: GenerationID) async throws {
        let catalog = Catalog(store: store)
        let maintainer = Maintainer(
            catalog: catalog,
            rules: settings.retention,
            writer: writer,
            host: HostName.current,
            clock: { .now }
        )
        let deleted = try await retain(maintainer)
        let lineage = try await catalog.lineage()
        let packs = try await maintainer.packAll(lineage)
        let reason = settings.snapshots.reason(
            SnapshotPolicy.Situation(lineage, of: generation),
            now: .now,
            window: settings.retention.window
        )
        if let reason { lanes.snapshots.requestSnapshot(reason: reason.rawValue) }
        log(
            .debug,
            "maintenance of the backup done",
            [
                ("database", databasePath), ("packs", "\(packs.count)"),
                ("deleted", "\(deleted)"),
            ]
        )
    }
    /// Deletes what the rules do not keep. Returns how many objects that were.
    private func retain(_ maintainer: Maintainer) async throws -> Int {
        let plan = try await maintainer.plan()
        for note in plan.notes {
            log(.warning, "retention", [("object", note.object), ("note", note.message)])
        }
        try await maintainer.carryOut(plan)
        return plan.batches.reduce(0) { $0 + $1.count }
    }
}
