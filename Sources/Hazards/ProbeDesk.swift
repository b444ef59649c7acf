import Glibc
import Platform

/// How the two sides of a probe meet: a note each in `.highwater-probe`, with the phase that its
/// writer has reached. Rewritten while waiting, so that the other sees that the writer lives.
final class ProbeDesk {
    /// What has to be reached by both before either goes on.
    struct Phase: Comparable {
        let number: Int

        static let opened = Phase(number: 1)
        static let mapped = Phase(number: 2)
        static let played = Phase(number: 3)
        static let done = Phase(number: 20)
        static let leaving = Phase(number: 21)

        /// The steps in which one side locks a byte and the other looks.
        static func locks(turn: Int) -> (taken: Phase, looked: Phase, given: Phase) {
            let first = 4 + turn * 3
            return (
                Phase(number: first), Phase(number: first + 1), Phase(number: first + 2)
            )
        }

        static func < (a: Phase, b: Phase) -> Bool { a.number < b.number }
    }

    static let scratchPages = 8
    static let scratchBytes = 8 * 4096

    let folder: String
    var own: PeerNote
    private let settings: CoherenceProbe.Settings
    private let silenceTime: Int64
    private let notes: PeerFolder
    private var scratchPath: String?
    private static let lookPause = 10 * Nanoseconds.millisecond
    private static let beatTime = 200 * Nanoseconds.millisecond
    private var nextBeat = MonotonicTime.now

    init(folder: String, settings: CoherenceProbe.Settings) throws {
        guard let resolved = try FileSystem.resolve(folder),
            let status = try FileSystem.status(resolved), status.isFolder
        else {
            throw HazardsError(.unusablePath, "'\(folder)' is not a folder; check the path")
        }
        let mounts = (try? MountTable.current()) ?? MountTable(parsing: "")
        self.folder = resolved
        self.settings = settings
        notes = PeerFolder(path: "\(resolved)/.highwater-probe")
        try FileSystem.makeFolder(notes.path, mode: 0o777)
        // Two containers may have two users; the umask must not keep one of them out.
        try? FileSystem.setPermissions(notes.path, 0o777)
        let mount = mounts.mount(of: resolved)
        let kind = FileSystemKind(magic: try FileSystem.typeNumber(at: resolved), mount: mount)
        let isLate = kind.family == .network || kind.family == .cluster
        silenceTime = settings.silenceTime ?? (isLate ? 90 : 10) * Nanoseconds.second
        own = PeerNote(
            id: PeerNote.randomID(),
            host: HostFacts.look(),
            device: 0,
            inode: 0,
            mount: mount
        )
        own.extra["phase"] = "0"
    }

    /// The partner: somebody who lives, and means us. Nil when nobody came in time.
    func findPartner() throws -> PeerNote? {
        let deadline = MonotonicTime.now + settings.partnerTime
        var observer = PeerObserver()
        while MonotonicTime.now < deadline {
            try checkStop()
            try beat(always: false)
            let others = notes.others(than: own.id)
            let now = MonotonicTime.now
            observer.observe(others, at: now)
            let living = observer.living(at: now)
            if let chosen = living.first(where: { $0.id == own.extra["partner"] }),
                chosen.extra["partner"] == own.id
            {
                for dead in others where !living.contains(where: { $0.id == dead.id }) {
                    removeIfOld(dead, observer, now)
                }
                return chosen
            }
            choose(among: living)
            try Readiness.pause(nanoseconds: Self.lookPause)
        }
        return nil
    }

    /// Whoever has chosen us; else the first who has chosen nobody.
    private func choose(among living: [PeerNote]) {
        let current = own.extra["partner"]
        let candidates = living.filter {
            [nil, "", own.id].contains($0.extra["partner"])
        }
        let chosen = (candidates.first { $0.extra["partner"] == own.id } ?? candidates.first)?.id
        guard chosen != current else { return }
        own.extra["partner"] = chosen
        nextBeat = MonotonicTime.now
    }

    private func removeIfOld(_ note: PeerNote, _ observer: PeerObserver, _ now: MonotonicTime) {
        if observer.forgotten(at: now).contains(where: { $0.id == note.id }) {
            notes.remove(note.id)
        }
    }

    /// Makes or opens the scratch file and says how it looks from here.
    func scratch(leads: Bool, partner: PeerNote) throws -> FileDescriptor {
        let name = leads ? "\(own.id)-\(partner.id)" : "\(partner.id)-\(own.id)"
        let path = "\(notes.path)/\(name).scratch"
        scratchPath = path
        let during = "before the first round"
        if leads {
            let file = try FileDescriptor(path: path, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o666)
            try? FileSystem.setPermissions(path, 0o666)
            try file.write([UInt8](repeating: 0, count: Self.scratchBytes), at: 0)
            try file.synchronize()
            try identify(file)
            try meet(.opened, partner, during)
            return file
        }
        // The leader's phase says that the file is there.
        _ = try wait(for: .opened, partner, during)
        let file = try FileDescriptor(path: path, flags: O_RDWR)
        try identify(file)
        try meet(.opened, partner, during)
        return file
    }

    private func identify(_ file: borrowing FileDescriptor) throws {
        let status = try file.status()
        own.device = status.device
        own.inode = status.inode
    }

    /// Says that we have come so far, and waits until the partner has, too. Returns its note.
    @discardableResult
    func meet(_ phase: Phase, _ partner: PeerNote, _ during: String) throws -> PeerNote {
        own.extra["phase"] = "\(phase.number)"
        try beat(always: true)
        return try wait(for: phase, partner, during)
    }

    private func wait(
        for phase: Phase,
        _ partner: PeerNote,
        _ during: String
    ) throws -> PeerNote {
        var last = partner.beat
        // In a round that failed the partner waits longer than we do.
        var heard = MonotonicTime.now + settings.roundTime
        while true {
            try beat(always: false)
            let note = notes.others(than: own.id).first { $0.id == partner.id }
            if let note {
                if Int(note.extra["phase"] ?? "") ?? 0 >= phase.number { return note }
                if note.beat != last {
                    last = note.beat
                    heard = max(heard, MonotonicTime.now)
                }
            }
            try checkStop()
            if MonotonicTime.now - heard > silenceTime {
                throw CoherenceProbe.PartnerGone(during: during)
            }
            try Readiness.pause(nanoseconds: Self.lookPause)
        }
    }

    private func checkStop() throws {
        if settings.isStopped() { throw CancellationError() }
    }

    private func beat(always: Bool) throws {
        let now = MonotonicTime.now
        guard always || now >= nextBeat else { return }
        nextBeat = now + Self.beatTime
        own.beat += 1
        own.interval = 1
        try notes.write(own)
    }

    /// Takes our things away. The partner may still have to read our last note, so that stays until
    /// the partner leaves, too.
    func leave() {
        if let partner = own.extra["partner"] {
            if own.extra["phase"] == "\(Phase.done.number)" {
                own.extra["phase"] = "\(Phase.leaving.number)"
                try? beat(always: true)
                let deadline = MonotonicTime.now + 3 * Nanoseconds.second
                while MonotonicTime.now < deadline, isReading(partner) {
                    try? Readiness.pause(nanoseconds: Self.lookPause)
                }
            } else {
                notes.remove(partner)
            }
        }
        if let scratchPath { try? FileSystem.remove(scratchPath) }
        notes.remove(own.id)
        notes.removeIfEmpty()
    }

    private func isReading(_ partner: String) -> Bool {
        guard let note = notes.others(than: own.id).first(where: { $0.id == partner }) else {
            return false
        }
        return Int(note.extra["phase"] ?? "") ?? 0 < Phase.leaving.number
    }
}
