import Bytes
package import Platform

/// What may be set about the guards of one database.
package struct HazardOptions: Sendable {
    /// Start although the set-up is fatal. Nothing is checkpointed and nothing reset then.
    package var isStartAllowed = false
    /// Write a heartbeat beside the database, so that agents on other kernels can be found.
    package var writesHeartbeat = true

    /// The safe defaults.
    package init() {}
}

/// The heartbeats of one database, and looks for those of others (DESIGN §9).
package final class HazardWatch: Sendable {
    let folder: PeerFolder
    let own: PeerNote
    /// Whether all processes that reach the file share one kernel's memory and locks.
    let isCoherent: Bool
    private let writesHeartbeat: Bool
    private let alarm: HazardAlarm
    private let report: @Sendable (Finding) -> Void

    /// Seconds between beats, and between looks for the beats of others.
    private static let beatInterval: UInt32 = 5
    /// The same where no other kernel can be: there nothing is written, and looks are rare, until
    /// somebody else was seen.
    private static let quietInterval: UInt32 = 60

    init(
        layout: Layout,
        host: HostFacts,
        folder: PeerFolder,
        writesHeartbeat: Bool,
        alarm: HazardAlarm,
        report: @escaping @Sendable (Finding) -> Void
    ) {
        self.folder = folder
        self.writesHeartbeat = writesHeartbeat
        self.alarm = alarm
        self.report = report
        isCoherent = layout.kind.isCoherent
        var note = PeerNote(
            id: PeerNote.randomID(),
            host: host,
            device: layout.database?.device ?? 0,
            inode: layout.database?.inode ?? 0,
            mount: layout.folderMount
        )
        note.interval = Self.beatInterval
        own = note
    }

    /// Runs `body`, and meanwhile beats and looks at the others.
    package func during(
        on executor: ThreadExecutor,
        _ body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: executor) { try await self.watch(on: executor) }
            defer { group.cancelAll() }
            try await body()
        }
    }

    /// Beats and looks at the others until it is cancelled, then takes the note away.
    private func watch(on executor: ThreadExecutor) async throws {
        guard writesHeartbeat else { return }
        var note = own
        var observer = PeerObserver()
        var isBeating = !isCoherent
        while !Task.isCancelled {
            note.beat += 1
            let beat = isBeating ? note : nil
            let others = try await executor.run { [folder, own] in
                // A full disk or a read-only mount must not end the backup.
                if let beat { try? Self.write(beat, into: folder) }
                return folder.others(than: own.id).filter { !own.isSameProcess(as: $0) }
            }
            let now = MonotonicTime.now
            observer.observe(others, at: now)
            for finding in PeerRules.findings(own, living: observer.living(at: now)) {
                raise(finding)
            }
            for peer in observer.forgotten(at: now) { folder.remove(peer.id) }
            isBeating = isBeating || !others.isEmpty
            let interval = isBeating ? Self.beatInterval : Self.quietInterval
            try? await Pause.sleep(nanoseconds: Int64(interval) * Nanoseconds.second)
        }
        if isBeating {
            folder.remove(own.id)
            folder.removeIfEmpty()
        }
    }

    private static func write(_ note: PeerNote, into folder: PeerFolder) throws {
        try FileSystem.makeFolder(FileSystem.folder(of: folder.path), mode: 0o700)
        try FileSystem.makeFolder(folder.path, mode: 0o700)
        try folder.write(note)
    }

    func raise(_ finding: Finding) {
        if alarm.raise(finding) { report(finding) }
    }
}

extension PeerNote {
    /// A name that no other process has.
    static func randomID() -> String {
        Hex.string(Chance.bits(), digits: 16)
    }
}
