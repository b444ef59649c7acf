import Bytes
import Replication

/// A metric that each database on its way to a place has one of.
struct ReadingMetric: Sendable {
    let name: String
    let kind: Metrics.Kind
    let help: String
    /// Its value; nil while there is none.
    let value: @Sendable (AgentMeter.Reading) -> Double?

    init(
        _ name: String,
        _ kind: Metrics.Kind,
        _ help: String,
        _ value: @Sendable @escaping (AgentMeter.Reading) -> Double?
    ) {
        self.name = name
        self.kind = kind
        self.help = help
        self.value = value
    }

    /// All of them. Names stay what they are: alert rules use them.
    static let all: [ReadingMetric] = [
        ReadingMetric("up", .gauge, "1 while the database is followed.") {
            $0.phase == .running ? 1 : 0
        },
        ReadingMetric("unsynced_seconds", .gauge, "Age of the oldest commit that is not durable.") {
            $0.unsyncedSeconds
        },
        ReadingMetric("pending_commits", .gauge, "Commits that are not durable.") {
            Double($0.pendingCommits)
        },
        ReadingMetric("pending_bytes", .gauge, "Bytes that wait for the store.") {
            Double($0.pendingBytes)
        },
        ReadingMetric("txid", .gauge, "The last commit that was seen.") {
            $0.txid.map { Double($0.rawValue) }
        },
        ReadingMetric("durable_txid", .gauge, "The last commit that is durable.") {
            $0.durable.map { Double($0.rawValue) }
        },
        ReadingMetric("durable_timestamp_seconds", .gauge, "When the last durable commit was seen.")
        { $0.durableTime.map { Double($0.milliseconds) / 1000 } },
        ReadingMetric(
            "snapshot_timestamp_seconds",
            .gauge,
            "When this process last stored a snapshot."
        ) { $0.snapshotTime.map { Double($0.milliseconds) / 1000 } },
        ReadingMetric("wal_bytes", .gauge, "Bytes of the WAL up to the last commit.") {
            Double($0.walBytes)
        },
        ReadingMetric("spooled_bytes", .gauge, "Bytes that only the spool has.") {
            Double($0.spooledBytes)
        },
        ReadingMetric("spool_over_limit", .gauge, "1 while the spool is over its limit.") {
            $0.isSpoolOver ? 1 : 0
        },
        ReadingMetric("given_up_total", .counter, "Times that what waited was given up.") {
            Double($0.givenUp)
        },
        ReadingMetric("pins", .gauge, "Read locks held on the WAL.") {
            $0.phase == .running ? $0.holdsTwoPins ? 2 : 1 : 0
        },
        ReadingMetric("write_lock_held_max_seconds", .gauge, "The longest hold of the write lock.")
        { Double($0.writeLockHeldMax) / 1e9 },
        ReadingMetric(
            "write_lock_held_seconds_total",
            .counter,
            "Time that the write lock was held."
        ) { Double($0.writeLockHeld) / 1e9 },
        ReadingMetric("attachments_total", .counter, "Times the agent began to follow.") {
            Double($0.attachments)
        },
        ReadingMetric("generation_changes_total", .counter, "Times another generation began.") {
            Double($0.generationChanges)
        },
        ReadingMetric(
            "bridges_total",
            .counter,
            "Gaps whose commits cannot be restored one by one."
        ) { Double($0.bridges) },
        ReadingMetric(
            "other_agents_total",
            .counter,
            "Other agents that were found to store into the same place."
        ) { Double($0.otherAgents) },
        ReadingMetric("uploads_total", .counter, "Objects that arrived.") { Double($0.uploads) },
        ReadingMetric("uploaded_bytes_total", .counter, "Bytes of them.") {
            Double($0.uploadedBytes)
        },
    ]
}
