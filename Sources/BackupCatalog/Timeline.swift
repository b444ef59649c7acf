package import Bytes
package import SegmentFormat

/// A log segment or pack, and which of its commits are to be used.
package struct LogSlice: Hashable, Sendable {
    /// The object.
    package let segment: StoredSegment
    /// The commits: all that it holds, unless another history goes on from within a pack.
    package let txids: ClosedRange<TXID>

    /// A slice.
    package init(segment: StoredSegment, txids: ClosedRange<TXID>) {
        self.segment = segment
        self.txids = txids
    }
}

/// An object that is not needed since a pack holds its commits, as the same log segments.
package struct Duplicate: Hashable, Sendable {
    /// The log segment, or smaller pack.
    package let segment: StoredSegment
    /// The pack that holds it.
    package let pack: StoredSegment

    /// A duplicate.
    package init(segment: StoredSegment, pack: StoredSegment) {
        self.segment = segment
        self.pack = pack
    }
}

/// An unbroken row of restorable states: a base, and the log segments that go on from it.
package struct Run: Sendable {
    /// The snapshots that a restore may start from, by the TXID whose state they serve. The first
    /// one begins the run, unless the run begins with the parent's state.
    package var snapshots: [StoredSegment]
    /// The log in order, each segment or pack linked to the one before.
    package var slices: [LogSlice] = []
    /// Levels whose windows end in the run, by first TXID, then last TXID: shortcuts. Each brings
    /// any state from its `minTXID` − 1 on to its `maxTXID`.
    package var levels: [StoredSegment] = []
    /// The first restorable state: the first snapshot's, or the one that the parent hands over.
    package var first: TXID
    /// Whether the state at `first` has to come from the parent generation.
    package var beginsWithParent: Bool

    /// A run, without any log yet.
    package init(snapshots: [StoredSegment], first: TXID, beginsWithParent: Bool) {
        self.snapshots = snapshots
        self.first = first
        self.beginsWithParent = beginsWithParent
    }

    /// The objects of the log, log segments and packs.
    package var logs: [StoredSegment] { slices.map(\.segment) }

    /// The last restorable state.
    package var last: TXID { max(first, slices.last?.txids.upperBound ?? .zero) }

    /// When the first state was seen; nil when only the parent knows.
    package var firstTime: Timestamp? { beginsWithParent ? nil : snapshots.first?.name.time }

    /// When the last state was seen; nil when only the parent knows.
    package var lastTime: Timestamp? {
        if let log = slices.last, log.txids.upperBound >= first { return log.segment.name.time }
        return firstTime
    }

    /// Whether the state at `txid` can be restored from this run.
    package func contains(_ txid: TXID) -> Bool { first <= txid && txid <= last }

    /// The log segment or pack that holds `txid`, if one does.
    package func log(holding txid: TXID) -> StoredSegment? {
        let index = slices.partitioningIndex { $0.txids.upperBound >= txid }
        guard index < slices.count, slices[index].txids.contains(txid) else { return nil }
        return slices[index].segment
    }
}

/// A commit after which two histories go on, neither of which contains the other.
package struct Fork: Sendable {
    /// The last commit that they share.
    package let after: TXID
    /// The last segment of each history; the one that goes further comes first. The name is the
    /// segment's own, or that of a member of a pack.
    package let tips: [(segment: StoredSegment, name: SegmentName)]

    /// What to tell the user.
    package var message: String {
        let list = tips.map { tip in
            "writer \(tip.name.writer) up to TXID \(tip.name.maxTXID) (\(tip.name.time))"
        }
        return "two writers went on from TXID \(after) with different commits: "
            + list.joined(separator: "; ")
            + "; choose one with -writer, or a target up to \(after)"
    }
}

/// Everything that can be restored from one generation, and what cannot.
package struct Timeline: Sendable {
    /// The generation.
    package let generation: Generation
    /// What LIST says.
    package let list: SegmentList
    /// The rows of restorable states, in order; holes lie between them.
    package var runs: [Run] = []
    /// Log segments and packs that a pack holds whole: maintenance has merged them, and not
    /// deleted them yet.
    package var duplicates: [Duplicate] = []
    /// Log segments that repeat what the runs hold: sent again after an agent was killed.
    package var leftovers: [StoredSegment] = []
    /// Log segments that no base reaches: they lie beyond a hole, or before the first base.
    package var orphans: [StoredSegment] = []
    /// Segments that could not be read where their links were needed, and why.
    package var damaged: [(segment: StoredSegment, error: any Error)] = []
    /// Where two histories go on. States up to the fork can be restored.
    package var forks: [Fork] = []

    /// The run with the latest states; nil when nothing can be restored.
    package var current: Run? { runs.last }

    /// The commits that are missing: between the runs, and before orphans that lie beyond the last.
    package var holes: [ClosedRange<TXID>] {
        var holes: [ClosedRange<TXID>] = []
        for (run, following) in zip(runs, runs.dropFirst()) where following.first > run.last.next {
            holes.append(run.last.next...following.first.previous)
        }
        if let last = current?.last, let orphan = firstOrphanBeyondEnd,
            orphan.name.minTXID > last.next
        {
            holes.append(last.next...orphan.name.minTXID.previous)
        }
        return holes
    }

    /// The first log segment that lies beyond the last restorable state.
    package var firstOrphanBeyondEnd: StoredSegment? {
        guard let last = current?.last else { return orphans.first }
        return orphans.first { $0.name.maxTXID > last }
    }

    /// The first log segment that lies beyond the last restorable state and is younger: commits
    /// that were stored and cannot be restored. Older ones are what a history before it has left.
    package var firstLostSegment: StoredSegment? {
        guard let run = current else { return orphans.first }
        return orphans.first {
            $0.name.maxTXID > run.last && $0.name.time > run.lastTime ?? Timestamp(milliseconds: 0)
        }
    }

    /// Takes in a level that was stored since the listing.
    package mutating func add(level: StoredSegment) {
        let end = level.name.maxTXID
        guard let index = runs.lastIndex(where: { $0.first < end && end <= $0.last }) else {
            return
        }
        runs[index].levels.append(level)
    }

    /// The last run that holds the state at `txid`.
    package func run(holding txid: TXID) -> Run? { runs.last { $0.contains(txid) } }
}
