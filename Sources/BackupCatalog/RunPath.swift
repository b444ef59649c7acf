package import Bytes
import SegmentFormat

/// How a state of a run is reached with the fewest bytes: a base, then levels and log in order.
///
/// The parent's state is the base only where the generation has no snapshot of its own.
/// Planned from keys and sizes alone.
package struct RunPath: Sendable {
    /// One object to apply.
    package enum Step: Hashable, Sendable {
        /// Every page of it replaces what is there; its removed pages go. It may begin before the
        /// state that it is applied to.
        case level(StoredSegment)
        /// The commits in the slice's range, each once.
        case log(LogSlice)

        /// The object.
        package var segment: StoredSegment {
            switch self {
            case .level(let segment): segment
            case .log(let slice): slice.segment
            }
        }

        /// The TXID of the state after it.
        package var txid: TXID {
            switch self {
            case .level(let segment): segment.name.maxTXID
            case .log(let slice): slice.txids.upperBound
            }
        }
    }

    /// The snapshot to begin with; nil when it is the state that the parent hands over.
    ///
    /// One taken in slices needs the log from its first slice's TXID on: the steps begin there.
    package let snapshot: StoredSegment?
    /// What is applied to it, in order.
    package let steps: [Step]

    /// The length of all objects in bytes.
    package var byteCount: UInt64 {
        steps.reduce(snapshot?.size ?? 0) { $0 &+ $1.segment.size }
    }

    /// What an object costs besides its bytes, in bytes: about what a request takes.
    static let objectCostBytes: UInt64 = 32 << 10
}

extension Run {
    /// The cheapest way to the state at `txid`; nil when the run does not hold it.
    package func path(to txid: TXID) -> RunPath? {
        guard contains(txid) else { return nil }
        var search = PathSearch(run: self, target: txid)
        return search.path()
    }
}

/// The cheapest way from any base to one state. Every step leads to a higher TXID, so one pass over
/// the places in order finds it.
private struct PathSearch {
    private struct Place {
        var cost: UInt64
        var snapshot: StoredSegment?
        var steps: [RunPath.Step]
        var previous: TXID?
        /// Whether levels that begin before the place are looked at, not only at it.
        var isLanding: Bool
    }

    let run: Run
    let target: TXID
    private var places: [TXID: Place] = [:]
    private var levelsByStart: [TXID: [StoredSegment]] = [:]

    init(run: Run, target: TXID) {
        self.run = run
        self.target = target
        for level in run.levels where level.name.maxTXID <= target {
            levelsByStart[level.name.minTXID.previous, default: []].append(level)
        }
    }

    mutating func path() -> RunPath? {
        addBases()
        var ends = Set(run.slices.map { min($0.txids.upperBound, target) })
        ends.formUnion(run.levels.map(\.name.maxTXID))
        ends.formUnion(places.keys)
        for txid in ends.sorted() where txid < target {
            guard let place = places[txid] else { continue }
            for level in levels(at: txid, place) {
                reach(level.name.maxTXID, from: txid, by: .level(level), isLanding: true)
            }
            if let step = log(after: txid) { reach(step.txid, from: txid, by: step) }
        }
        guard places[target] != nil else { return nil }
        var steps: [RunPath.Step] = []
        var current = target
        while let place = places[current] {
            steps = place.steps + steps
            guard let previous = place.previous else {
                return RunPath(snapshot: place.snapshot, steps: steps)
            }
            current = previous
        }
        return nil
    }

    private mutating func addBases() {
        if run.beginsWithParent, run.first <= target {
            // What the parent's state takes is not known here, or the parent may be gone: any
            // snapshot of the generation's own is better.
            places[run.first] = Place(cost: 1 << 62, steps: [], isLanding: true)
        }
        for snapshot in run.snapshots where snapshot.name.maxTXID <= target {
            // A snapshot in slices becomes a state by the log between them.
            var cost = snapshot.size + RunPath.objectCostBytes
            var steps: [RunPath.Step] = []
            var current = snapshot.name.minTXID
            while current < snapshot.name.maxTXID,
                let step = log(after: current, through: snapshot.name.maxTXID)
            {
                steps.append(step)
                cost += step.segment.size + RunPath.objectCostBytes
                current = step.txid
            }
            guard current == snapshot.name.maxTXID else { continue }
            if let known = places[current], known.cost <= cost { continue }
            places[current] = Place(
                cost: cost,
                snapshot: snapshot,
                steps: steps,
                isLanding: true
            )
        }
    }

    private func levels(at txid: TXID, _ place: Place) -> [StoredSegment] {
        guard place.isLanding else { return levelsByStart[txid] ?? [] }
        return run.levels.filter {
            $0.name.minTXID.previous <= txid && txid < $0.name.maxTXID
                && $0.name.maxTXID <= target
        }
    }

    private func log(after txid: TXID, through last: TXID? = nil) -> RunPath.Step? {
        let index = run.slices.partitioningIndex { $0.txids.upperBound > txid }
        guard index < run.slices.count, run.slices[index].txids.contains(txid.next) else {
            return nil
        }
        let slice = run.slices[index]
        let end = min(slice.txids.upperBound, last ?? target)
        return .log(LogSlice(segment: slice.segment, txids: txid.next...end))
    }

    private mutating func reach(
        _ txid: TXID,
        from previous: TXID,
        by step: RunPath.Step,
        isLanding: Bool = false
    ) {
        guard let before = places[previous] else { return }
        let cost = before.cost + step.segment.size + RunPath.objectCostBytes
        if let known = places[txid], known.cost <= cost { return }
        places[txid] = Place(cost: cost, steps: [step], previous: previous, isLanding: isLanding)
    }
}
