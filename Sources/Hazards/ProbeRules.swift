import Platform

/// What one side of a probe saw.
package struct ProbeSide: Sendable, Hashable {
    /// Who it is, and the scratch file as it sees it.
    package var note: PeerNote
    /// Messages that it received through shared memory.
    package var rounds: UInt32
    /// The other's lock was seen, and was gone after it was given back.
    package var sawLock: Bool
    package var sawUnlock: Bool

    /// A side's observations.
    package init(note: PeerNote, rounds: UInt32, sawLock: Bool, sawUnlock: Bool) {
        self.note = note
        self.rounds = rounds
        self.sawLock = sawLock
        self.sawUnlock = sawUnlock
    }
}

/// What a probe proves.
package struct ProbeResult: Sendable, Hashable {
    /// The answer.
    package enum Answer: String, Sendable {
        case coherent
        case notCoherent = "not coherent"
        case notProven = "not proven"
    }

    /// The answer.
    package var answer: Answer
    /// Why, one sentence each.
    package var reasons: [String]
    /// The two sides; the other one is nil when it did not come, or went.
    package var own: ProbeSide?
    package var other: ProbeSide?
    /// Rounds that were asked for.
    package var rounds: UInt32

    /// Nothing can be said.
    package static func notProven(_ reason: String, rounds: UInt32) -> ProbeResult {
        ProbeResult(answer: .notProven, reasons: [reason], rounds: rounds)
    }

    init(answer: Answer, reasons: [String], rounds: UInt32) {
        self.answer = answer
        self.reasons = reasons
        self.rounds = rounds
    }

    /// What the observations of both sides prove. One proof against is enough; proof for needs
    /// everything.
    package init(own: ProbeSide, other: ProbeSide, rounds: UInt32) {
        var against: [String] = []
        if own.note.conflict(with: other.note) == .otherKernel {
            against.append(
                "the two run on different kernels (boot ids \(own.note.bootID) and "
                    + "\(other.note.bootID)), which cannot share memory"
            )
        }
        for (side, name) in [(own, "this side"), (other, "the other side")]
        where side.rounds < rounds {
            against.append(
                "memory: \(name) received \(side.rounds) of \(rounds) messages through the mapping"
            )
        }
        for (side, name) in [(own, "this side"), (other, "the other side")] {
            if !side.sawLock {
                against.append("locks: \(name) did not see the other's byte-range lock")
            } else if !side.sawUnlock {
                against.append("locks: \(name) still saw a lock that was given back")
            }
        }
        var doubts: [String] = []
        if own.note.inode != other.note.inode {
            doubts.append(
                "the two see different inodes (\(own.note.inode) and \(other.note.inode))"
            )
        } else if own.note.device != other.note.device {
            doubts.append(
                "the two see the file on different devices ("
                    + OpenerRules.device(own.note.device) + " and "
                    + OpenerRules.device(other.note.device) + ")"
            )
        }
        self.init(answer: .coherent, reasons: [], rounds: rounds)
        if !against.isEmpty {
            answer = .notCoherent
            reasons = against + doubts
        } else if !doubts.isEmpty {
            answer = .notProven
            reasons = doubts
        } else {
            reasons = Self.scope(own.note, other.note, rounds)
        }
        self.own = own
        self.other = other
    }

    private static func scope(_ own: PeerNote, _ other: PeerNote, _ rounds: UInt32) -> [String] {
        let isOneContainer =
            own.mountNamespace == other.mountNamespace && own.pidNamespace == other.pidNamespace
        return [
            "\(rounds) rounds through shared memory, locks seen both ways, one kernel, one file",
            isOneContainer
                ? "both ran in one container or on one host: this proves nothing about other "
                    + "containers"
                : "the two ran in different containers (namespaces)",
        ]
    }
}
