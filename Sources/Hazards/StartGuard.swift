import Bytes
import Platform

/// The start guard of one database (DESIGN §9), with all that was seen of its set-up.
package struct StartGuard: Sendable {
    /// Goes on looking once the guard has let the database pass.
    package let watch: HazardWatch
    private let layout: Layout
    private let host: HostFacts
    private let isStartAllowed: Bool

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
        isStartAllowed = options.isStartAllowed
        watch = HazardWatch(
            layout: layout,
            host: host,
            folder: PeerFolder(path: localFolder + "/peers"),
            writesHeartbeat: options.writesHeartbeat,
            alarm: alarm,
            report: report
        )
    }

    /// Raises what it finds, and refuses to go on after a fatal finding unless that is allowed.
    /// Blocks, up to some seconds where a heartbeat of another kernel has to be told from one that
    /// a dead process left.
    package func check(
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
        findings += PeerRules.findings(watch.own, living: try livingPeers(isStopped: isStopped))
        for finding in findings.worstFirst { watch.raise(finding) }
        let fatal = findings.filter { $0.verdict == .fatal }
        guard let first = fatal.worstFirst.first, !isStartAllowed else { return }
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
        let (own, folder) = (watch.own, watch.folder)
        while true {
            let now = MonotonicTime.now
            observer.observe(folder.others(than: own.id), at: now)
            // On a local disk a note of another kernel is one of the last boot.
            let undecided = observer.undecided(at: now).filter {
                !watch.isCoherent && own.conflict(with: $0) != .sameFile
            }
            if undecided.isEmpty || isStopped() { return observer.living(at: now) }
            try Readiness.pause(nanoseconds: Self.lookPause)
        }
    }
}
