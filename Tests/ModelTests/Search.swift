/// Breadth-first search over all states; the first trace found is a shortest one.
///
/// A visited state is remembered by a 64-bit hash, seeded anew in each process: with ten million
/// states the odds that one is passed over by a collision are one in 300,000 a run.
struct Search {
    /// What a search found.
    struct Result {
        var states = 0
        var transitions = 0
        /// False when the limit on states was reached first.
        var isComplete = true
        var violation: Violation?
        var trace: [String] = []
    }

    let rules: Rules
    var statesMax = 30_000_000
    private var hashes: [Int] = []
    private var parents: [UInt32] = []
    private var table: [UInt32]
    private var mask: Int

    init(_ bounds: Bounds, weakness: Weakness? = nil) {
        rules = Rules(bounds: bounds, weakness: weakness)
        table = [UInt32](repeating: .max, count: 1 << 16)
        mask = table.count - 1
    }

    mutating func run() -> Result {
        var result = Result()
        var frontier = [rules.start]
        var next: [World] = []
        _ = insert(frontier[0].hashValue, parent: 0)
        var number: UInt32 = 0
        while !frontier.isEmpty {
            next.removeAll(keepingCapacity: true)
            for world in frontier {
                var found: (Violation, String)?
                rules.successors(of: world) { world, violation, label in
                    result.transitions += 1
                    let verdict = rules.judge(world, violation)
                    if let violation = verdict.violation, found == nil {
                        found = (violation, label())
                    }
                    if verdict.goesOn, insert(world.hashValue, parent: number) {
                        next.append(world)
                    }
                }
                if let (violation, label) = found {
                    result.violation = violation
                    result.trace = trace(to: number) + [label]
                    result.states = hashes.count
                    return result
                }
                number += 1
            }
            swap(&frontier, &next)
            if hashes.count > statesMax {
                result.isComplete = false
                break
            }
        }
        result.states = hashes.count
        return result
    }

    /// The labels that lead to a state, found by going the way once more.
    private func trace(to number: UInt32) -> [String] {
        var chain: [UInt32] = []
        var at = number
        while at != 0 {
            chain.append(at)
            at = parents[Int(at)]
        }
        var world = rules.start
        var labels: [String] = []
        for step in chain.reversed() {
            let wanted = hashes[Int(step)]
            var following: World?
            rules.successors(of: world) { next, _, label in
                guard following == nil, next.hashValue == wanted else { return }
                following = next
                labels.append(label())
            }
            guard let following else { return labels + ["(the trace is lost)"] }
            world = following
        }
        return labels
    }

    /// True when the state is new.
    private mutating func insert(_ hash: Int, parent: UInt32) -> Bool {
        var slot = hash & mask
        while table[slot] != .max {
            if hashes[Int(table[slot])] == hash { return false }
            slot = (slot + 1) & mask
        }
        table[slot] = UInt32(hashes.count)
        hashes.append(hash)
        parents.append(parent)
        if hashes.count * 2 > table.count { grow() }
        return true
    }

    private mutating func grow() {
        table = [UInt32](repeating: .max, count: table.count * 4)
        mask = table.count - 1
        for (number, hash) in hashes.enumerated() {
            var slot = hash & mask
            while table[slot] != .max { slot = (slot + 1) & mask }
            table[slot] = UInt32(number)
        }
    }
}
