import Bytes
import ObjectStorage
import SegmentFormat

/// Finds the gap-free chains in what LIST says, and what does not belong to them.
///
/// Every chain begins at a base. Where several segments go on from one, the way that leads to the
/// greatest TXID is the chain. Another way is a *leftover* when it ends in a state that the chain
/// passes through: at the same TXID with the same digest. Those are commits that were sent again
/// after an agent was killed. Where one of the digests is not recorded, a single segment that
/// nothing continues and that the chain covers is taken for a leftover. Everything else is a
/// *fork*: two histories, of which only the user can choose one.
struct ChainResolver {
    private var graph: SegmentGraph
    private var timeline: Timeline
    /// By node, whether it was told what it is.
    private var used: [Bool]

    init(
        generation: Generation,
        list: SegmentList,
        store: any ObjectStore,
        preferring writer: WriterTag?
    ) async throws {
        graph = try await SegmentGraph(list.logs, store: store, preferring: writer)
        used = Array(repeating: false, count: graph.nodes.count)
        timeline = Timeline(generation: generation, list: list)
    }

    /// The generation's timeline.
    consuming func resolve() async throws -> Timeline {
        try await addParentRun()
        for snapshot in timeline.list.snapshots {
            let (anchor, served) = (snapshot.name.minTXID, snapshot.name.maxTXID)
            if let last = timeline.runs.indices.last, timeline.runs[last].contains(served),
                timeline.runs[last].first <= anchor
            {
                timeline.runs[last].snapshots.append(snapshot)
                continue
            }
            try await addRun(
                from: anchor,
                run: Run(snapshots: [snapshot], first: served, beginsWithParent: false)
            )
        }
        sortOutRest()
        addLevels()
        timeline.duplicates = graph.duplicates
        timeline.damaged =
            graph.damagedPacks
            + graph.damaged.sorted { $0.key < $1.key }.map {
                (graph.nodes[$0.key].segment, $0.value)
            }
        return timeline
    }

    /// What no run uses: commits that are there twice, and commits that no base reaches.
    private mutating func sortOutRest() {
        var orphans: [StoredSegment] = []
        for index in graph.nodes.indices where !used[index] {
            let name = graph.nodes[index].name
            let isCovered = timeline.runs.contains {
                $0.contains(name.minTXID) && $0.contains(name.maxTXID)
            }
            if isCovered {
                timeline.leftovers.append(graph.nodes[index].segment)
            } else {
                orphans.append(graph.nodes[index].segment)
            }
        }
        guard !orphans.isEmpty || !timeline.leftovers.isEmpty else { return }
        // A pack of which one member is used is not a leftover, whatever its other members are.
        var seen = Set(timeline.runs.flatMap { $0.slices.map(\.segment) })
        timeline.orphans = orphans.filter { seen.insert($0).inserted }
        timeline.leftovers = timeline.leftovers.filter { seen.insert($0).inserted }
    }

    /// Gives each run the levels whose windows end in it.
    ///
    /// Beyond a fork nobody knows whose a level is; it is left out, and the log serves.
    private mutating func addLevels() {
        let fork = timeline.forks.map(\.after).min()
        for level in timeline.list.levels {
            let end = level.name.maxTXID
            if let fork, end > fork { continue }
            let index = timeline.runs.lastIndex { $0.first < end && end <= $0.last }
            guard let index else { continue }
            timeline.runs[index].levels.append(level)
        }
    }

    /// The run that goes on from the parent's state without a snapshot of its own.
    private mutating func addParentRun() async throws {
        guard let parent = timeline.generation.record.parent else { return }
        var starts: [Int] = []
        for index in graph.beginning(at: parent.txid.next) {
            if let header = try await graph.header(of: index), header.link == nil {
                starts.append(index)
            }
        }
        if let first = timeline.list.snapshots.first, first.name.minTXID <= parent.txid { return }
        guard !starts.isEmpty else { return }
        let run = Run(snapshots: [], first: parent.txid, beginsWithParent: true)
        try await addRun(starts: starts, anchor: parent.txid, run: run)
    }

    private mutating func addRun(from anchor: TXID, run: Run) async throws {
        let after = anchor.next
        let starts = graph.nodes.indices.filter { index in
            let name = graph.nodes[index].name
            return name.minTXID <= after && after <= name.maxTXID && !used[index]
        }
        try await addRun(starts: starts, anchor: anchor, run: run)
    }

    private mutating func addRun(starts: [Int], anchor: TXID, run: Run) async throws {
        var run = run
        if let best = graph.best(of: starts) {
            let way = graph.way(from: best)
            // Snapshots taken in slices need the log up to the state that they serve.
            guard graph.lastTXID(from: best) >= run.first else { return }
            for index in way { used[index] = true }
            run.slices = slices(of: way)
            try await sortOut(starts.filter { $0 != best }, after: anchor, from: best, way)
            for index in way {
                guard let others = graph.others[index] else { continue }
                try await sortOut(others, after: graph.nodes[index].name.maxTXID, from: index, way)
            }
        } else if run.first != anchor {
            return
        }
        timeline.runs.append(run)
    }

    /// The objects on a way, and which of their commits belong to it.
    private func slices(of way: [Int]) -> [LogSlice] {
        var slices: [LogSlice] = []
        for index in way {
            let node = graph.nodes[index]
            let range = node.name.minTXID...node.name.maxTXID
            if let last = slices.last, last.segment == node.segment {
                let whole = last.txids.lowerBound...range.upperBound
                slices[slices.count - 1] = LogSlice(segment: last.segment, txids: whole)
            } else {
                slices.append(LogSlice(segment: node.segment, txids: range))
            }
        }
        return slices
    }

    /// Decides for each of `others` whether it is a leftover or the beginning of another history.
    private mutating func sortOut(
        _ others: [Int],
        after txid: TXID,
        from origin: Int,
        _ way: [Int]
    ) async throws {
        for other in others {
            let tree = graph.tree(from: other)
            let ends = tree.filter { graph.following[$0] == nil }
            var isFork = false
            for end in ends where !isFork {
                isFork = try await differs(end, isAlone: tree.count == 1, from: way)
            }
            for index in tree { used[index] = true }
            timeline.leftovers += tree.map { graph.nodes[$0].segment }
            if isFork, !graph.isChosen(origin) {
                let tips = [way.last ?? origin, graph.end[other]].map { graph.nodes[$0] }
                timeline.forks.append(Fork(after: txid, tips: tips.map { ($0.segment, $0.name) }))
            }
        }
    }

    /// Whether the state at the end of segment `end` is not one that `way` passes through.
    private mutating func differs(_ end: Int, isAlone: Bool, from way: [Int]) async throws -> Bool {
        let txid = graph.nodes[end].name.maxTXID
        guard let place = way.first(where: { graph.nodes[$0].name.maxTXID >= txid }) else {
            return true
        }
        let theirs = try await graph.footer(of: end)
        if theirs == nil { return false }
        if let theirs = theirs?.digestAfter, let ours = try await graph.digest(at: txid, in: place)
        {
            return theirs != ours
        }
        return !isAlone
    }
}
