import BackupCatalog
import Bytes
import SegmentFormat

/// Which states have to stay restorable: those of the window, the last one of each database, and
/// those that generations which need them go on from.
struct RetentionNeeds {
    private let lineage: LineageGraph
    /// States that were replaced before are not needed.
    let cutoff: Timestamp
    /// Restores that began before have ended.
    let settled: Timestamp
    private let now: Timestamp
    /// By generation, the TXIDs whose states are needed.
    private(set) var needs: [GenerationID: [ClosedRange<TXID>]] = [:]
    /// When a generation was over: another one had taken its place.
    private var ends: [GenerationID: Timestamp] = [:]

    /// The needs by `rules`, when the store's clock says `now`.
    init(_ lineage: LineageGraph, rules: RetentionRules, now: Timestamp) {
        self.lineage = lineage
        func time(before age: Int64) -> Timestamp {
            Timestamp(milliseconds: max(0, now.milliseconds - age))
        }
        cutoff = time(before: rules.window + rules.grace)
        settled = time(before: rules.grace)
        self.now = now
        findEnds()
        for id in lineage.ids { addWindow(of: id) }
        addParents()
    }

    /// Whether something has taken the generation's place before the cutoff.
    func isOver(_ id: GenerationID) -> Bool { ends[id].map { $0 <= cutoff } ?? false }

    private struct Origin: Hashable {
        let host: String
        let path: String
    }

    /// A generation ends when one that goes on from it, or a later one of the same file, begins.
    private mutating func findEnds() {
        var byOrigin: [Origin: [GenerationID]] = [:]
        let restorable = lineage.ids.filter {
            guard let timeline = lineage[$0] else { return false }
            return timeline.generation.record.created <= now && lineage.canRestoreAnything(of: $0)
        }
        func end(_ id: GenerationID, by successor: GenerationID) {
            guard id != successor, let start = lineage[successor]?.generation.record.created
            else { return }
            ends[id] = min(ends[id] ?? start, start)
        }
        for id in restorable {
            guard let record = lineage[id]?.generation.record else { continue }
            // A child is younger than its parent: names that say otherwise end nothing.
            if let parent = lineage.parent(of: id), parent.generation < id,
                !goesOnBeside(id, parent)
            {
                end(parent.generation, by: id)
            }
            byOrigin[Origin(host: record.host, path: record.file.path), default: []].append(id)
        }
        for ids in byOrigin.values {
            // Unknown origins say nothing about each other.
            for (id, next) in zip(ids, ids.dropFirst()) {
                guard let record = lineage[id]?.generation.record, !record.host.isEmpty else {
                    continue
                }
                end(id, by: next)
            }
        }
    }

    /// Whether the parent of another file's generation has commits of its own after the one that
    /// the child goes on from: then the child is a copy's, and the database it was copied from may
    /// live, though nobody has written to it for a long time.
    private func goesOnBeside(_ child: GenerationID, _ parent: GenerationRecord.Parent) -> Bool {
        guard let own = lineage[child]?.generation.record, let timeline = lineage[parent.generation]
        else { return false }
        let origin = timeline.generation.record
        return [own.host, own.file.path] != [origin.host, origin.file.path]
            && timeline.runs.contains { $0.last > parent.txid }
    }

    /// The states that were current at the cutoff or later.
    private mutating func addWindow(of id: GenerationID) {
        guard let timeline = lineage[id] else { return }
        for (index, run) in timeline.runs.enumerated() {
            let next = index + 1 < timeline.runs.count ? timeline.runs[index + 1].firstTime : nil
            let end = next ?? (index + 1 < timeline.runs.count ? nil : ends[id])
            // In the chain's order, not by time alone: clocks step back now and then.
            if let slice = run.slices.first(where: { $0.segment.name.time > cutoff }),
                slice.txids.upperBound > run.first
            {
                let from = max(run.first, slice.txids.lowerBound.previous)
                needs[id, default: []].append(from...run.last)
                continue
            }
            let isRecent = (run.lastTime ?? now) > cutoff
            if isRecent || end.map({ $0 > cutoff }) ?? true {
                needs[id, default: []].append(run.last...run.last)
            }
        }
    }

    /// A need that no snapshot of the generation's own serves is a need for the parent's state.
    private mutating func addParents() {
        struct Need: Hashable {
            let generation: GenerationID
            let txid: TXID
        }
        var open = lineage.ids
        var added: Set<Need> = []
        while let id = open.popLast() {
            guard let timeline = lineage[id], let parent = lineage.parent(of: id) else { continue }
            // States before the generation began are an ancestor's; whoever looks for them comes
            // through this one.
            var states = (needs[id] ?? []).map(\.lowerBound).filter { $0 < parent.txid }
            if needsParent(timeline) { states.append(parent.txid) }
            for state in states
            where added.insert(Need(generation: parent.generation, txid: state)).inserted {
                needs[parent.generation, default: []].append(state...state)
                open.append(parent.generation)
            }
        }
    }

    private func needsParent(_ timeline: Timeline) -> Bool {
        let id = timeline.generation.id
        // A generation that has just begun, or whose base is still on its way, may come to need it.
        guard !timeline.runs.isEmpty else { return !isOver(id) }
        for need in needs[id] ?? [] {
            guard let run = timeline.run(holding: need.lowerBound), run.beginsWithParent else {
                continue
            }
            if run.base(for: need.lowerBound, since: settled) == nil { return true }
        }
        return false
    }
}

extension Run {
    /// The newest snapshot that a restore of `txid` can begin with, stored by `time`; else the
    /// run's first one, if that serves it.
    func base(for txid: TXID, since time: Timestamp) -> StoredSegment? {
        let serving = snapshots.filter { $0.name.maxTXID <= txid }
        return serving.last { ($0.modified ?? $0.name.time) <= time }
            ?? (beginsWithParent ? nil : serving.first)
    }
}
