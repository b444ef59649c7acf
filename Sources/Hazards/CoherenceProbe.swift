import Glibc
import Platform

/// The dynamic probe: two processes that see one folder find each other through small files there,
/// then play ping-pong in a scratch file that both have mapped, and test each other's locks.
///
/// - They find each other through files, which work where shared memory does not.
/// - Between the first and the last round nobody opens, closes or syncs anything: on FUSE an `open`
///   was seen to write dirty pages back, so that one direction looked coherent and was not.
/// - Nothing is ever done to a database or a `-shm`.
package struct CoherenceProbe {
    /// How to probe.
    package struct Settings: Sendable {
        /// Rounds of ping-pong; at least 20.
        package var rounds: UInt32 = 100
        /// How long to wait for a partner.
        package var partnerTime: Int64 = 60 * Nanoseconds.second
        /// How long one message through memory may take.
        package var roundTime: Int64 = 3 * Nanoseconds.second
        /// How long a partner may be silent before it counts as gone; nil for what the file system
        /// needs: network file systems show another machine's files up to a minute late.
        package var silenceTime: Int64?
        /// True once the probe has to end.
        package var isStopped: @Sendable () -> Bool = { false }

        /// The defaults.
        package init() {}
    }

    /// The partner went away.
    struct PartnerGone: Error {
        var during: String
    }

    private let settings: Settings
    private let desk: ProbeDesk
    private let progress: (String) -> Void

    /// A probe in a folder; it makes `.highwater-probe` there, and removes it.
    package init(
        folder: String,
        settings: Settings = Settings(),
        progress: @escaping (String) -> Void = { _ in }
    ) throws {
        self.settings = settings
        self.progress = progress
        desk = try ProbeDesk(folder: folder, settings: settings)
    }

    /// Waits for the partner and probes. Blocks.
    package func run() throws -> ProbeResult {
        defer { desk.leave() }
        guard let partner = try desk.findPartner() else {
            let seconds = settings.partnerTime / Nanoseconds.second
            return .notProven(
                "no second 'highwater doctor probe' came to this folder within \(seconds) s",
                rounds: settings.rounds
            )
        }
        progress("found process \(partner.process) on host '\(partner.host)'")
        do {
            return try probe(partner)
        } catch let error as PartnerGone {
            return .notProven(
                "the other process ended \(error.during)",
                rounds: settings.rounds
            )
        }
    }

    private func probe(_ partner: PeerNote) throws -> ProbeResult {
        let leads = desk.own.id < partner.id
        let scratch = try desk.scratch(leads: leads, partner: partner)
        let mapping = try SharedMapping(scratch, length: ProbeDesk.scratchBytes)
        // Every page is in memory on both sides before the game begins.
        for page in 0..<ProbeDesk.scratchPages { _ = mapping.load(at: page * 4096) }
        try desk.meet(.mapped, partner, "before the first round")
        let received = pingPong(mapping, leads: leads)
        desk.own.extra["rounds"] = "\(received)"
        try desk.meet(.played, partner, "after \(received) of \(settings.rounds) rounds")
        progress("received \(received) of \(settings.rounds) messages through shared memory")
        let locks = try testLocks(scratch, partner, leads: leads)
        desk.own.extra["saw_lock"] = locks.saw ? "1" : "0"
        desk.own.extra["saw_unlock"] = locks.sawGone ? "1" : "0"
        let last = try desk.meet(.done, partner, "after the locks were tested")
        let other = ProbeSide(
            note: last,
            rounds: UInt32(last.extra["rounds"] ?? "") ?? 0,
            sawLock: last.extra["saw_lock"] == "1",
            sawUnlock: last.extra["saw_unlock"] == "1"
        )
        let own = ProbeSide(
            note: desk.own,
            rounds: received,
            sawLock: locks.saw,
            sawUnlock: locks.sawGone
        )
        return ProbeResult(own: own, other: other, rounds: settings.rounds)
    }

    /// Messages received. The leader calls, the other answers; each round uses another page.
    private func pingPong(_ mapping: borrowing SharedMapping, leads: Bool) -> UInt32 {
        for round in 1...settings.rounds {
            let page = Int(round) % ProbeDesk.scratchPages * 4096
            let (call, answer) = (page + 64, page + 2048)
            if leads { mapping.store(round, at: call) }
            let deadline = MonotonicTime.now + settings.roundTime
            while mapping.load(at: leads ? answer : call) != round {
                if MonotonicTime.now > deadline || settings.isStopped() { return round - 1 }
                usleep(20)
            }
            if !leads { mapping.store(round, at: answer) }
        }
        return settings.rounds
    }

    /// Each side locks a byte of SQLite's range in turn; the other must see it, and must not get
    /// it. Whether it was seen, and was seen to go.
    private func testLocks(
        _ scratch: borrowing FileDescriptor,
        _ partner: PeerNote,
        leads: Bool
    ) throws -> (saw: Bool, sawGone: Bool) {
        let during = "while the locks were tested"
        var saw = false
        var sawGone = false
        for turn in 0..<2 {
            let isMine = leads == (turn == 0)
            let byte = Int64(120 + turn * 4)
            let steps = ProbeDesk.Phase.locks(turn: turn)
            if isMine {
                guard try scratch.setRecordLock(.exclusive, start: byte, length: 1) else {
                    throw HazardsError(
                        .unsafe,
                        "'\(desk.folder)': a lock on a new file is refused"
                    )
                }
            }
            try desk.meet(steps.taken, partner, during)
            if !isMine { saw = try isLocked(scratch, byte) }
            try desk.meet(steps.looked, partner, during)
            if isMine { _ = try scratch.setRecordLock(.none, start: byte, length: 1) }
            try desk.meet(steps.given, partner, during)
            if !isMine { sawGone = try !isLocked(scratch, byte) }
        }
        return (saw, sawGone)
    }

    private func isLocked(_ scratch: borrowing FileDescriptor, _ byte: Int64) throws -> Bool {
        guard try scratch.recordHolder(start: byte, length: 1) != nil else { return false }
        guard try scratch.setRecordLock(.exclusive, start: byte, length: 1) else { return true }
        _ = try scratch.setRecordLock(.none, start: byte, length: 1)
        return false
    }
}
