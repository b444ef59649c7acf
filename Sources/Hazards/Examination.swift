import Glibc
import Platform
import SQLiteAccess

/// Everything that `highwater doctor` finds out about a database.
///
/// For a process without a connection to it: see `DatabaseInspection`.
package struct Examination: Sendable {
    /// Where it lies.
    package var layout: Layout
    /// What can be said of the machine.
    package var host: HostFacts
    /// Who has it open.
    package var openers: Openers
    /// What its files say; nil when they cannot be read.
    package var database: DatabaseInspection?
    /// Living agents that were seen through their heartbeats.
    package var peers: [PeerNote]
    /// The findings, in the order in which they were looked for.
    package var findings: [Finding]

    /// The worst finding's.
    package var verdict: Verdict { findings.verdict }

    private static let lookPause = 100 * Nanoseconds.millisecond

    /// Examines a database. `localFolder` tells where an agent keeps its files for a database's
    /// resolved path; `peerTime` bounds the wait for a heartbeat that may be a dead process's.
    package static func run(
        _ path: String,
        peerTime: Int64,
        localFolder: (String) -> String
    ) throws -> Examination {
        let layout = try Layout.look(path)
        let host = HostFacts.look()
        let openers = Openers.look(layout, host: host)
        var examination = Examination(
            layout: layout,
            host: host,
            openers: openers,
            database: nil,
            peers: [],
            findings: LayoutRules.findings(layout, population: openers.population)
        )
        examination.findings += OpenerRules.findings(layout, openers)
        try examination.lookAtPeers(
            PeerFolder(path: localFolder(layout.path) + "/peers"),
            for: peerTime
        )
        try examination.lookAtDatabase()
        examination.findings += ResourceRules.findings(
            layout,
            host: host,
            space: try? FileSystem.space(at: layout.folder),
            descriptors: FileSystem.descriptorLimit,
            user: geteuid(),
            mayWriteFolder: FileSystem.isAccessible(layout.folder, mode: R_OK | W_OK | X_OK),
            mayWriteDatabase: FileSystem.isAccessible(layout.path, mode: R_OK | W_OK)
        )
        if !host.hints.isEmpty {
            examination.findings.append(
                Finding(.environment, .ok, "looks like: " + host.hints.joined(separator: ", "))
            )
        }
        return examination
    }

    private mutating func lookAtPeers(_ folder: PeerFolder, for time: Int64) throws {
        let own = PeerNote(
            id: PeerNote.randomID(),
            host: host,
            device: layout.database?.device ?? 0,
            inode: layout.database?.inode ?? 0,
            mount: layout.folderMount
        )
        var observer = PeerObserver()
        let deadline = MonotonicTime.now + time
        while true {
            let now = MonotonicTime.now
            observer.observe(folder.others(than: own.id), at: now)
            let undecided = observer.undecided(at: now).filter { note in
                [.otherKernel, .otherSuperblock].contains(own.conflict(with: note))
            }
            if undecided.isEmpty || now >= deadline {
                peers = observer.living(at: now)
                // An agent on the same file is among the openers, and no finding for a doctor.
                let others = peers.filter { own.conflict(with: $0) != .sameFile }
                findings += PeerRules.findings(own, living: others)
                return
            }
            try Readiness.pause(nanoseconds: Self.lookPause)
        }
    }

    /// A violation counts when it was seen at several looks in a row.
    private mutating func lookAtDatabase() throws {
        var inspection: DatabaseInspection
        do throws(SystemError) {
            inspection = try DatabaseInspection.read(layout)
            var polls = 1
            while polls < Limits.suspiciousPolls || inspection.index?.isStable == false,
                polls < 20, let sample = inspection.index,
                !sample.isStable || InvariantGuard.violation(in: sample) != nil
            {
                try Readiness.pause(nanoseconds: Self.lookPause)
                inspection = try DatabaseInspection.read(layout)
                polls += 1
            }
        } catch {
            findings.append(
                Finding(
                    .permissions,
                    .warn,
                    "the database's files cannot be read: \(error)",
                    remedy: "run the doctor as the database's owner, or as root"
                )
            )
            return
        }
        database = inspection
        findings += DatabaseRules.findings(
            inspection,
            layout,
            openers: openers,
            library: SQLiteVersion(text: SQLiteLibrary.version)
        )
        if let opener = inspection.opener, opener.process == 0 {
            findings.append(
                Finding(
                    .openers,
                    .ok,
                    "a process in another container of this kernel has the database open, and its "
                        + "locks are seen here"
                )
            )
        }
    }
}
