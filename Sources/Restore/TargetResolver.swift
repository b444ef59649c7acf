package import BackupCatalog
package import Bytes
import SegmentFormat

/// Turns what a user wants into a TXID. Times are resolved from key names and, where a time lies
/// within a segment, from the records in that one segment.
package struct TargetResolver: Sendable {
    private let lineage: Lineage
    private let catalog: Catalog
    private let now: Timestamp

    /// A target, and what the user should know about it.
    package struct Resolved: Sendable {
        /// The commit whose state is meant.
        package var txid: TXID
        /// What the user should know.
        package var notes: [String] = []
    }

    /// A resolver on a line of descent, at the time `now`.
    package init(_ lineage: Lineage, catalog: Catalog, now: Timestamp) {
        self.lineage = lineage
        self.catalog = catalog
        self.now = now
    }

    /// Whether `lineage` reaches far enough back for `target`.
    package static func isEnough(_ lineage: Lineage, for target: RestoreTarget) -> Bool {
        let wanted: TXID
        switch target {
        case .latest:
            guard let last = lineage.tip.current?.last else { return false }
            wanted = last
        case .txid(let txid): wanted = txid
        case .before(let txid): wanted = txid.rawValue == 0 ? .zero : txid.previous
        case .timestamp(let time):
            return lineage.members.contains { member in
                member.timeline.runs.contains { $0.firstTime.map { $0 <= time } ?? false }
            }
        }
        return lineage.members.contains { member in
            member.timeline.runs.contains { run in
                run.contains(wanted) && run.snapshots.contains { $0.name.maxTXID <= wanted }
            }
        }
    }

    /// The commit whose state `target` means.
    ///
    /// - Throws: `RestoreError.outsideWindow`, `CatalogError`, `StoreError`.
    package func resolve(_ target: RestoreTarget) async throws -> Resolved {
        switch target {
        case .txid(let txid): return Resolved(txid: txid)
        case .before(let txid):
            guard txid.rawValue > 0 else {
                throw RestoreError(.outsideWindow, "there is no state before TXID \(txid)")
            }
            return Resolved(txid: txid.previous)
        case .latest: return try latest()
        case .timestamp(let time): return try await resolve(time)
        }
    }

    private func latest() throws -> Resolved {
        let tip = lineage.tip
        guard let last = tip.current?.last else {
            throw CatalogError(
                .noBase,
                object: tip.generation.id.text,
                "the generation has no complete snapshot; nothing of it can be restored"
            )
        }
        if let lost = tip.firstLostSegment {
            throw hole("the newest commit", after: last, before: lost, tip)
        }
        return Resolved(txid: last)
    }

    /// Why a target cannot be told: commits after `last` are missing.
    private func hole(
        _ target: String,
        after last: TXID,
        before lost: StoredSegment,
        _ timeline: Timeline
    ) -> RestoreError {
        let end = max(last, lost.name.minTXID.previous)
        let missing =
            end > last ? "commits \(last.next) to \(end)" : "what commits from \(end) on go on from"
        return RestoreError(
            .hole,
            "\(target) lies beyond a hole: \(missing) are missing in generation "
                + "\(timeline.generation.id), and '\(lost.key)' comes after them; the last state "
                + "before the hole is -txid \(last); what can be restored: \(lineage.windowText)"
        )
    }

    /// The last commit of the line before the first one that was seen after `time`.
    private func resolve(_ time: Timestamp) async throws -> Resolved {
        guard time.milliseconds <= now.milliseconds + Limits.clockSkewMilliseconds else {
            throw RestoreError(
                .outsideWindow,
                "\(time) lies in the future; what can be restored: \(lineage.windowText)"
            )
        }
        for member in lineage.members {
            for (index, run) in member.timeline.runs.enumerated().reversed() {
                guard let found = try await resolve(time, in: run, cut: member.cut) else {
                    continue
                }
                if found.txid == run.last, member.cut.map({ $0 > run.last }) ?? true,
                    let end = run.lastTime, end < time,
                    let lost = Self.lost(after: index, in: member.timeline)
                {
                    throw hole("\(time)", after: run.last, before: lost, member.timeline)
                }
                return found
            }
        }
        throw RestoreError(
            .outsideWindow,
            "\(time) is before the first restorable state; what can be restored: "
                + lineage.windowText
        )
    }

    /// What lies beyond the hole that follows a run; nil when none does.
    private static func lost(after index: Int, in timeline: Timeline) -> StoredSegment? {
        guard index + 1 < timeline.runs.count else { return timeline.firstLostSegment }
        let following = timeline.runs[index + 1]
        guard following.first > timeline.runs[index].last.next else { return nil }
        return following.snapshots.first
    }

    private func resolve(_ time: Timestamp, in run: Run, cut: TXID?) async throws -> Resolved? {
        let limit = cut ?? TXID(.max)
        var found: TXID?
        if let start = run.firstTime {
            guard start <= time, run.first <= limit else { return nil }
            found = run.first
        }
        for slice in run.slices where slice.txids.upperBound > run.first {
            guard slice.txids.lowerBound <= limit else { break }
            let end = min(slice.txids.upperBound, limit)
            if slice.segment.name.time <= time, slice.segment.name.maxTXID == end {
                found = end
                continue
            }
            let scanned = try await scan(
                slice.segment,
                time,
                after: found,
                first: run.first,
                limit: end
            )
            // Nothing that follows within the line is older.
            if let scanned, scanned.txid == end, end < limit {
                found = end
                continue
            }
            return scanned
        }
        return found.map { Resolved(txid: $0) }
    }

    /// Looks into the segment in which the time lies.
    private func scan(
        _ log: StoredSegment,
        _ time: Timestamp,
        after found: TXID?,
        first: TXID,
        limit: TXID
    ) async throws -> Resolved? {
        var found = found
        var later: CommitRecord?
        try await CommitScan(store: catalog.store).commits(of: log) { commit in
            guard commit.record.txid > first else { return true }
            guard commit.record.txid <= limit else { return false }
            guard commit.record.seenAt <= time else {
                later = commit.record
                return false
            }
            found = commit.record.txid
            return true
        }
        guard let found else { return nil }
        var resolved = Resolved(txid: found)
        if let later, later.notSeenAt < time,
            later.seenAt.milliseconds - later.notSeenAt.milliseconds
                > Limits.notableIntervalMilliseconds
        {
            resolved.notes.append(
                "commit \(later.txid) was first seen at \(later.seenAt), but may have been made "
                    + "at any time since \(later.notSeenAt): it is left out"
            )
        }
        return resolved
    }
}
