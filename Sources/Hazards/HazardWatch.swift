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

/// The start guard and the heartbeats of one database (DESIGN §9).
package struct HazardWatch: Sendable {
    private let layout: Layout
    private let host: HostFacts
    private let options: HazardOptions
    private let folder: PeerFolder
    private let own: PeerNote
    private let alarm: HazardAlarm
    private let report: @Sendable (Finding) -> Void

    /// Seconds between beats, and between looks for the beats of others.
    private static let beatInterval: UInt32 = 5
    /// The same where no other kernel can be: there nothing is written, and looks are rare, until
    /// somebody else was seen.
    private static let quietInterval: UInt32 = 60
    private static let lookPause = 200 * Nanoseconds.millisecond

    /// Looks at a database that is about to be opened. `localFolder` is where the agent keeps its
    /// local files. Call it before the first connection.
    package init(
        database: String,
        localFolder: String,
        options: HazardOptions,
        alarm: HazardAlarm,
        report: @escaping @Sendable (Finding) -> Void
    ) throws {
        layout = try Layout.look(database)
        host = HostFacts.look()
        self.options = options
        self.alarm = alarm
        self.report = report
        folder = PeerFolder(path: localFolder + "/peers")
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

    /// The start guard: raises what it finds, and refuses to go on after a fatal finding unless
    /// that is allowed. Blocks, up to some seconds where a heartbeat of another kernel has to be
    /// told from one that a dead process left.
    package func checkStart(
        scan: ProcessScan = .recent(),
        isStopped: () -> Bool
    ) throws {
        var findings = findings(layout, scan)
        // Files come and go while applications start and end, and our looks at the folder and at
        // the processes are not of one moment: what is fatal has to be seen several times.
        for _ in 1..<Limits.suspiciousPolls where findings.contains(where: { $0.verdict == .fatal })
        {
            try Readiness.pause(nanoseconds: Self.lookPause)
            findings = self.findings(try Layout.look(layout.path), .now())
        }
        findings += PeerRules.findings(own, living: try livingPeers(isStopped: isStopped))
        for finding in findings.worstFirst { raise(finding) }
        let fatal = findings.filter { $0.verdict == .fatal }
        guard let first = fatal.worstFirst.first, !options.isStartAllowed else { return }
        throw HazardsError(
            .unsafe,
            "refusing to start: \(first.message). What to do: \(first.remedy). "
                + "'highwater doctor' shows everything; -allow-hazard starts nevertheless, "
                + "without ever checkpointing"
        )
    }

    private func findings(_ layout: Layout, _ scan: ProcessScan) -> [Finding] {
        let openers = Openers.look(layout, host: host, scan: scan)
        return LayoutRules.findings(layout, population: openers.population)
            + OpenerRules.findings(layout, openers, isAgent: true)
    }

    private func livingPeers(isStopped: () -> Bool) throws -> [PeerNote] {
        var observer = PeerObserver()
        while true {
            let now = MonotonicTime.now
            observer.observe(folder.others(than: own.id), at: now)
            // On a local disk a note of another kernel is one of the last boot.
            let undecided = observer.undecided(at: now).filter {
                !layout.kind.isCoherent && own.conflict(with: $0) != .sameFile
            }
            if undecided.isEmpty || isStopped() { return observer.living(at: now) }
            try Readiness.pause(nanoseconds: Self.lookPause)
        }
    }

    /// Runs `body`, and meanwhile beats and looks at the others.
    package func during(
        on executor: ThreadExecutor,
        _ body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: executor) { try await watch(on: executor) }
            defer { group.cancelAll() }
            try await body()
        }
    }

    /// Beats and looks at the others until it is cancelled, then takes the note away.
    private func watch(on executor: ThreadExecutor) async throws {
        guard options.writesHeartbeat else { return }
        var note = own
        var observer = PeerObserver()
        var isBeating = !layout.kind.isCoherent
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

    private func raise(_ finding: Finding) {
        if alarm.raise(finding) { report(finding) }
    }
}

extension PeerNote {
    /// A name that no other process has.
    static func randomID() -> String {
        Hex.string(Chance.bits(), digits: 16)
    }
}
