package import Platform

/// Tells the living from the dead: a peer lives when its counter was seen to change, within some
/// beats of now by *our* monotonic clock. A clock that jumps, here or there, changes nothing; a
/// heartbeat that a dead process left never counts. Pure.
package struct PeerObserver: Sendable {
    private struct Seen {
        var note: PeerNote
        var changed: MonotonicTime?
        var first: MonotonicTime
    }

    private var seen: [String: Seen] = [:]

    /// An observer that has seen nobody.
    package init() {}

    /// Takes note of a look at the folder.
    package mutating func observe(_ notes: [PeerNote], at now: MonotonicTime) {
        var next: [String: Seen] = [:]
        for note in notes.prefix(Limits.notesPerFolder) {
            guard var known = seen[note.id] else {
                next[note.id] = Seen(note: note, changed: nil, first: now)
                continue
            }
            if known.note.beat != note.beat { known.changed = now }
            known.note = note
            next[note.id] = known
        }
        seen = next
    }

    /// The peers that live.
    package func living(at now: MonotonicTime) -> [PeerNote] {
        seen.values.filter { peer in
            guard let changed = peer.changed else { return false }
            return now - changed <= 3 * Self.beatTime(peer.note)
        }.map(\.note).sorted { $0.id < $1.id }
    }

    /// The peers of which nothing is known yet: seen, and not long enough to call them dead.
    package func undecided(at now: MonotonicTime) -> [PeerNote] {
        seen.values.filter { peer in
            peer.changed == nil && now - peer.first <= Self.beatTime(peer.note) * 3 / 2
        }.map(\.note)
    }

    /// The peers that have been silent for long: whoever sees that may remove their notes.
    package func forgotten(at now: MonotonicTime) -> [PeerNote] {
        seen.values.filter { peer in
            let silent = now - (peer.changed ?? peer.first)
            return silent > 20 * Self.beatTime(peer.note)
        }.map(\.note)
    }

    /// A note can name any interval; ours are from one to sixty seconds.
    private static func beatTime(_ note: PeerNote) -> Int64 {
        Int64(min(max(note.interval, 1), 60)) * Nanoseconds.second
    }
}

/// What living peers mean. Pure.
package enum PeerRules {
    /// The findings of one process about the others.
    package static func findings(_ own: PeerNote, living: [PeerNote]) -> [Finding] {
        living.filter { !own.isSameProcess(as: $0) }.map { peer in
            let who = "an agent on host '\(peer.host)' (process \(peer.process), \(peer.mount))"
            switch own.conflict(with: peer) {
            case .otherKernel:
                return Finding(
                    .otherKernel,
                    .fatal,
                    "\(who) works on this database from another kernel: two kernels never share "
                        + "the memory of -shm",
                    remedy: "let one machine use the database; others get their copy by restore"
                )
            case .otherSuperblock:
                return Finding(
                    .otherSuperblock,
                    .fatal,
                    "\(who) works on this database through another file system (device "
                        + "\(OpenerRules.device(peer.device)); here "
                        + "\(OpenerRules.device(own.device))): the two share neither memory nor "
                        + "locks",
                    remedy: "let both use one mount of the folder"
                )
            case .sameFile:
                return Finding(
                    .otherAgent,
                    .warn,
                    "\(who) backs up this database, too: both hold back checkpoints",
                    remedy: "stop one of them; one agent can have several replicas"
                )
            case .otherFile:
                return Finding(
                    .replacedFile,
                    .high,
                    "\(who) follows another file under this database's name: it was replaced",
                    remedy: "restart application and agents, so that all open the same file"
                )
            }
        }
    }
}
