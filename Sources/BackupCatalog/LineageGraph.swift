package import Bytes
import ObjectStorage
import SegmentFormat

/// All generations of a store, what can be restored from each, and which goes on from which.
package struct LineageGraph: Sendable {
    /// The generations' timelines, by name.
    package private(set) var timelines: [GenerationID: Timeline] = [:]
    /// The generations, oldest name first.
    package private(set) var ids: [GenerationID] = []
    /// Generations whose `generation.json` cannot be read: nobody knows what they go on from.
    package let damaged: [(id: GenerationID, error: any Error)]
    /// Objects that are not ours.
    package private(set) var foreign: [String] = []
    private var childrenByParent: [GenerationID: [GenerationID]] = [:]

    /// A graph of these generations.
    package init(
        timelines: [Timeline],
        damaged: [(id: GenerationID, error: any Error)] = [],
        foreign: [String] = []
    ) {
        self.damaged = damaged
        for timeline in timelines.sorted(by: { $0.generation.id < $1.generation.id }) {
            let id = timeline.generation.id
            ids.append(id)
            self.timelines[id] = timeline
            if let parent = timeline.generation.record.parent {
                childrenByParent[parent.generation, default: []].append(id)
            }
        }
        self.foreign = foreign + timelines.flatMap { $0.list.foreign.map(\.key.path) }
    }

    /// The generation's timeline; nil when the store does not have it.
    package subscript(_ id: GenerationID) -> Timeline? { timelines[id] }

    /// Generations that go on from one of this one's states.
    package func children(of id: GenerationID) -> [GenerationID] { childrenByParent[id] ?? [] }

    /// What the generation goes on from, if that is (still) in the store.
    package func parent(of id: GenerationID) -> GenerationRecord.Parent? {
        guard let parent = timelines[id]?.generation.record.parent,
            timelines[parent.generation] != nil
        else { return nil }
        return parent
    }

    /// How many generations a restore of this one's first state goes back through.
    ///
    /// Zero when it has a snapshot at its beginning.
    package func depth(of id: GenerationID) -> Int {
        var depth = 0
        var current = id
        var seen: Set<GenerationID> = []
        while seen.insert(current).inserted, let run = timelines[current]?.runs.first,
            run.beginsWithParent, let parent = parent(of: current)
        {
            depth += 1
            current = parent.generation
        }
        return depth
    }

    /// Whether the state can be restored, from this generation and those that it goes on from.
    package func canRestore(_ txid: TXID, of id: GenerationID) -> Bool {
        var (txid, id) = (txid, id)
        var seen: Set<GenerationID> = []
        while seen.insert(id).inserted {
            // The state lies before the generation began: an ancestor has it.
            if let parent = parent(of: id), txid < parent.txid {
                id = parent.generation
                continue
            }
            guard let run = timelines[id]?.run(holding: txid) else { return false }
            if run.snapshots.contains(where: { $0.name.maxTXID <= txid }) { return true }
            guard run.beginsWithParent, let parent = parent(of: id) else { return false }
            (txid, id) = (parent.txid, parent.generation)
        }
        return false
    }

    /// Whether anything can be restored from the generation.
    package func canRestoreAnything(of id: GenerationID) -> Bool {
        guard let last = timelines[id]?.current?.last else { return false }
        return canRestore(last, of: id)
    }
}

extension Catalog {
    /// All generations with what can be restored from each.
    ///
    /// - Throws: `StoreError`. Damaged generations and forks are in the result.
    package func lineage() async throws -> LineageGraph {
        let list = try await generations()
        var timelines: [Timeline] = []
        for generation in list.generations {
            timelines.append(try await timeline(of: generation))
        }
        return LineageGraph(
            timelines: timelines,
            damaged: list.damaged,
            foreign: list.foreign.map(\.key.path)
        )
    }
}
