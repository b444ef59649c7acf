import Glibc
import Testing

/// DESIGN §4 over all interleavings, with the agent's real `PinProtocol` (docs/PROOF.md).
///
/// `HIGHWATER_MODEL=frames=4,commits=4,salts=3` widens the bounds.
@Suite(.serialized) struct PinModelTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var name: String
        var bounds: Bounds
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(name: "attaching and following", bounds: Bounds(frames: 2, commits: 2)),
        Case(
            name: "growth and shrink, three commits",
            bounds: Bounds(slots: 1, commits: 3, salts: 1, startsAttached: true)
        ),
        Case(
            name: "two resets",
            bounds: Bounds(slots: 1, frames: 2, commits: 2, salts: 3, startsAttached: true)
        ),
        Case(
            name: "a reader of the application",
            bounds: Bounds(frames: 2, commits: 2, hasReader: true, startsAttached: true)
        ),
        Case(
            name: "a writer dies or rolls back",
            bounds: Bounds(frames: 2, commits: 2, writerCrashes: 1, startsAttached: true)
        ),
        Case(
            name: "two checkpointers, one is killed",
            bounds: Bounds(
                frames: 2,
                commits: 2,
                checkpointers: 2,
                checkpointerCrashes: 1,
                startsAttached: true
            )
        ),
        Case(
            name: "the agent is killed",
            bounds: Bounds(frames: 2, commits: 2, agentCrashes: 1, startsAttached: true)
        ),
        Case(
            name: "room is made under the write lock",
            bounds: Bounds(frames: 2, commits: 2, isForcing: true, startsAttached: true)
        ),
        Case(
            name: "a writer dies while room is made",
            bounds: Bounds(
                slots: 1,
                frames: 2,
                commits: 2,
                writerCrashes: 1,
                isForcing: true,
                startsAttached: true
            )
        ),
        Case(
            name: "two replicas",
            bounds: Bounds(frames: 2, commits: 2, replicas: 2, startsAttached: true)
        ),
    ]

    /// Larger ones, for `make model` alone.
    static let largeCases: [Case] = [
        Case(
            name: "agent and checkpointer are killed while room is made",
            bounds: Bounds(
                slots: 1,
                frames: 2,
                commits: 2,
                checkpointerCrashes: 1,
                agentCrashes: 1,
                isForcing: true,
                startsAttached: true
            )
        ),
        Case(
            name: "growth and shrink before two checkpointers",
            bounds: Bounds(
                slots: 1,
                commits: 3,
                salts: 1,
                checkpointers: 2,
                startsAttached: true
            )
        ),
    ]

    /// The bounds with what the environment asks for.
    static func widened(_ bounds: Bounds) -> Bounds {
        var bounds = bounds
        let wish = getenv("HIGHWATER_MODEL").map { String(cString: $0) } ?? ""
        for part in wish.split(separator: ",") {
            let words = part.split(separator: "=")
            guard words.count == 2, let value = Int(words[1]) else { continue }
            switch words[0] {
            case "slots": bounds.slots = value
            case "frames": bounds.frames = value
            case "commits": bounds.commits = UInt8(value)
            case "salts": bounds.salts = UInt8(value)
            case "replicas": bounds.replicas = value
            case "checkpointers": bounds.checkpointers = value
            case "reader": bounds.hasReader = value > 0
            case "forcing": bounds.isForcing = value > 0
            case "writerCrashes": bounds.writerCrashes = UInt8(value)
            case "checkpointerCrashes": bounds.checkpointerCrashes = UInt8(value)
            case "agentCrashes": bounds.agentCrashes = UInt8(value)
            default: Issue.record("unknown bound \(part)")
            }
        }
        return bounds
    }

    private func report(_ name: String, _ result: Search.Result, _ start: ContinuousClock.Instant) {
        let seconds = (ContinuousClock.now - start).components
        print(
            "model: \(name): \(result.states) states, \(result.transitions) transitions, "
                + "\(seconds.seconds).\(seconds.attoseconds / 100_000_000_000_000_000) s"
                + (result.isComplete ? "" : ", not complete")
        )
        if let violation = result.violation { print("  \(violation.rawValue)") }
        for (number, line) in result.trace.enumerated() { print("  \(number + 1). \(line)") }
    }

    @Test(arguments: getenv("HIGHWATER_MODEL") == nil ? cases : cases + largeCases)
    func `no interleaving breaks the protocol`(_ example: Case) {
        let start = ContinuousClock.now
        var search = Search(Self.widened(example.bounds))
        let result = search.run()
        report(example.name, result, start)
        #expect(result.violation == nil)
        #expect(result.isComplete)
    }

    /// Each rule is needed: without it the search finds a history that breaks a promise.
    @Test(arguments: Weakness.allCases)
    func `a protocol without one of its rules is caught`(_ weakness: Weakness) {
        let start = ContinuousClock.now
        var search = Search(weakness.bounds, weakness: weakness)
        let result = search.run()
        report("without a rule, \(weakness)", result, start)
        #expect(result.violation != nil)
    }
}

extension Weakness {
    /// Bounds in which the mistake shows.
    fileprivate var bounds: Bounds {
        var bounds = Bounds(frames: 2, commits: 2, startsAttached: true)
        switch self {
        case .fastestReplicaCounts: bounds.replicas = 2
        case .attachedWithoutWaiting, .attachedAcrossReset: bounds.startsAttached = false
        case .fileReadWithoutLook: bounds.agentCrashes = 1
        default: break
        }
        return bounds
    }
}
