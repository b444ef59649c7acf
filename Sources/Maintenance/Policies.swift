package import BackupCatalog
package import Bytes
import SegmentFormat

/// When a new snapshot is worth its bytes (DESIGN §5).
package struct SnapshotPolicy: Hashable, Sendable {
    /// A snapshot is due when a restore of the last state would fetch, beside its snapshot, more
    /// than this share of the snapshot's bytes.
    package var fraction: Double
    /// A snapshot is due when the last one is this old and there were changes, in milliseconds.
    package var interval: Int64
    /// A generation makes a snapshot of its own when a restore goes back through more than this.
    package var depth: Int

    /// A policy: half of the snapshot's bytes, a day, eight generations.
    package init(fraction: Double = 0.5, interval: Int64 = Milliseconds.day, depth: Int = 8) {
        self.fraction = fraction
        self.interval = interval
        self.depth = depth
    }

    /// Why a snapshot is due.
    package enum Reason: String, Sendable {
        /// There is none yet.
        case first
        /// Levels and log since the last one are too many bytes.
        case cost
        /// The last one is too old.
        case age
        /// Too many generations lie between this one and its snapshot.
        case depth
        /// The generation that holds the snapshot would have been deleted by now.
        case parentExpires = "parent_expires"
    }

    /// What the decision rests on. An agent keeps count; `init(_:of:)` takes it from a listing.
    package struct Situation: Hashable, Sendable {
        /// Bytes of the newest snapshot; nil when the generation has none of its own.
        package var snapshotBytes: UInt64?
        /// When it was taken, or when the parent's last state was seen.
        package var snapshotTime: Timestamp?
        /// Bytes of the cheapest way from it to the last state.
        package var bytesSince: UInt64
        /// Whether any commit came after it.
        package var hasChanges: Bool
        /// Generations between this one and its snapshot.
        package var depth: Int

        /// A situation.
        package init(
            snapshotBytes: UInt64?,
            snapshotTime: Timestamp?,
            bytesSince: UInt64,
            hasChanges: Bool,
            depth: Int
        ) {
            self.snapshotBytes = snapshotBytes
            self.snapshotTime = snapshotTime
            self.bytesSince = bytesSince
            self.hasChanges = hasChanges
            self.depth = depth
        }

        /// The situation of a generation, as LIST tells.
        package init(_ lineage: LineageGraph, of id: GenerationID) {
            let run = lineage[id]?.current
            let path = run.flatMap { $0.path(to: $0.last) }
            let snapshot = path?.snapshot
            let parent = lineage.parent(of: id).flatMap { lineage[$0.generation]?.current }
            let base = snapshot?.name.maxTXID ?? run?.first
            self.init(
                snapshotBytes: snapshot?.size,
                snapshotTime: snapshot?.name.time ?? parent?.lastTime,
                bytesSince: (path?.byteCount ?? 0) - (snapshot?.size ?? 0),
                hasChanges: run.map { $0.last > (base ?? .zero) } ?? false,
                depth: lineage.depth(of: id)
            )
        }
    }

    /// Why a snapshot is due at `now`; nil when none is. `window` is how long states are kept.
    package func reason(
        _ situation: Situation,
        now: Timestamp,
        window: Int64
    ) -> Reason? {
        if situation.depth > depth { return .depth }
        let age = situation.snapshotTime.map { now.milliseconds - $0.milliseconds } ?? 0
        guard let size = situation.snapshotBytes else {
            if situation.depth == 0 { return .first }
            // Before half of the window is over: the parent stays as long as it is needed anyway.
            return age > window / 2 && situation.hasChanges ? .parentExpires : nil
        }
        guard situation.hasChanges else { return nil }
        if Double(situation.bytesSince) > Double(size) * fraction { return .cost }
        return age > interval ? .age : nil
    }
}

/// When a level is worth its bytes, and which windows levels have (DESIGN §5).
package struct LevelPolicy: Hashable, Sendable {
    /// The length of a level's windows, in milliseconds, by level: 1, 2, 3, ….
    package var periods: [Int64]
    /// A level that would spare a restore less than this, in bytes, is not built.
    package var leastBytes: UInt64

    /// A policy: five minutes, an hour, a day; 64 KiB.
    package init(
        periods: [Int64] = [5 * Milliseconds.minute, Milliseconds.hour, Milliseconds.day],
        leastBytes: UInt64 = 64 << 10
    ) {
        self.periods = periods
        self.leastBytes = leastBytes
    }

    /// Whether a level is stored: it is at most half of what it lets a restore skip.
    package func isWorth(levelBytes: UInt64, skippedBytes: UInt64) -> Bool {
        levelBytes <= skippedBytes / 2
    }

    /// The number of the window that `time` lies in, of `level`.
    package func window(of time: Timestamp, level: UInt8) -> Int64 {
        time.milliseconds / max(1, periods[Int(level) - 1])
    }
}
