package import Bytes
import Hazards
import ObjectStorage
import Platform
import Replication
import Synchronization

/// How the databases of a process are doing: what `highwater status -json` prints.
package struct FleetReport: Codable, Sendable {
    /// One database on its way to one place.
    package struct Replica: Codable, Sendable {
        /// Its name; empty when it is the only one.
        package var name: String
        /// Where it goes, without secrets.
        package var url: String
        /// `waiting`, `starting`, `running`, `stopped` or `failed`.
        package var status: String
        /// What went wrong last; nothing since it went well.
        package var problem: String?
        /// The generation that is written.
        package var generation: String?
        /// The last commit that was seen.
        package var txid: String?
        /// The last commit that is durable.
        package var durableTxid: String?
        /// When that was seen.
        package var durableTime: String?
        /// Seconds since the oldest commit that is not durable; 0 when all are.
        package var unsyncedSeconds: Double
        /// Commits that are not durable.
        package var pendingCommits: UInt64
        /// Bytes that wait for the store.
        package var pendingBytes: Int
        /// Bytes that only the spool has.
        package var spooledBytes: Int64
        /// Whether they are more than they should be.
        package var spoolOverLimit: Bool
        /// Bytes of the WAL up to the last commit.
        package var walBytes: Int64
        /// Read locks held on the WAL.
        package var pins: Int
        /// Resets of the WAL under the write lock.
        package var forcedResets: UInt64
        /// Resets of the WAL while nobody wrote.
        package var quietResets: UInt64
        /// The longest hold of the write lock, in milliseconds.
        package var writeLockHeldMaxMs: Double
        /// When this process last stored a snapshot.
        package var snapshotTime: String?
        /// Times the agent began to follow.
        package var attachments: UInt64
        /// Times another generation began.
        package var generationChanges: UInt64
        /// Gaps whose commits cannot be restored one by one.
        package var bridges: UInt64
        /// Other agents that were found to store into the same place.
        package var otherAgents: UInt64
        /// Objects that arrived.
        package var uploads: UInt64
        /// Bytes of them.
        package var uploadedBytes: UInt64
        /// Uploads that failed and were tried again, by class.
        package var uploadErrors: [String: UInt64]
        /// Codes of the hazards that were found, the worst first; docs/HAZARDS.md explains them.
        package var hazards: [String]
        /// When the last verification ended without any doubt.
        package var verifiedAt: String?
        /// How much the last one found; nothing before it, and where none is wanted.
        package var verifyFindings: Int?
    }

    /// One database.
    package struct Database: Codable, Sendable {
        /// Its path.
        package var path: String
        /// The worst of its replicas' statuses.
        package var status: String
        /// The places that it goes to.
        package var replicas: [Replica]
    }

    /// The schema's version.
    package var version = 1
    /// The agent's version.
    package var programVersion: String
    /// Its process id.
    package var pid: Int32
    /// When it began.
    package var startTime: String
    /// Seconds since.
    package var uptimeSeconds: Int64
    /// The databases, in the order of the settings.
    package var databases: [Database]
    /// Databases that are left out, and why.
    package var problems: [String]
}

extension FleetReport {
    /// The process alone: what `highwater info` prints.
    package var withoutDatabases: ProcessReport {
        ProcessReport(
            programVersion: programVersion,
            pid: pid,
            startTime: startTime,
            uptimeSeconds: uptimeSeconds,
            databases: databases.count,
            problems: problems
        )
    }

    /// The process alone.
    package struct ProcessReport: Codable, Sendable {
        /// The schema's version.
        package var version = 1
        /// The agent's version.
        package var programVersion: String
        /// Its process id.
        package var pid: Int32
        /// When it began.
        package var startTime: String
        /// Seconds since.
        package var uptimeSeconds: Int64
        /// How many databases there are.
        package var databases: Int
        /// Databases that are left out, and why.
        package var problems: [String]
    }
}

extension Fleet {
    /// One reading of one member.
    struct Sample: Sendable {
        let assignment: Assignment
        let reading: AgentMeter.Reading
        let hazards: [Finding]
        let verification: VerificationRecord?
    }

    /// How all members are doing, in the order of the settings.
    func samples(of path: String? = nil) -> [Sample] {
        let members = book.withLock { book in
            book.order.compactMap { book.members[$0] }
        }
        return members.filter { path == nil || $0.assignment.database == path }
            .map {
                Sample(
                    assignment: $0.assignment,
                    reading: $0.meter.reading,
                    hazards: $0.hazards,
                    verification: $0.verification
                )
            }
    }

    /// How the databases are doing; all of them, or one.
    ///
    /// - Throws: `missing` for a database that is not one of this process's.
    package func report(
        of path: String? = nil,
        process: ProcessFacts
    ) throws(SupervisionError) -> FleetReport {
        let samples = samples(of: path)
        if let path, samples.isEmpty { throw Self.unknown(path) }
        var databases: [FleetReport.Database] = []
        for sample in samples {
            let replica = FleetReport.Replica(sample)
            if let index = databases.firstIndex(where: { $0.path == sample.assignment.database }) {
                databases[index].replicas.append(replica)
                databases[index].status = Self.worse(databases[index].status, replica.status)
            } else {
                databases.append(
                    FleetReport.Database(
                        path: sample.assignment.database,
                        status: replica.status,
                        replicas: [replica]
                    )
                )
            }
        }
        return FleetReport(
            programVersion: process.version,
            pid: process.pid,
            startTime: "\(process.start)",
            uptimeSeconds: (Timestamp.now.milliseconds - process.start.milliseconds) / 1000,
            databases: databases,
            problems: book.withLock { $0.problems }
        )
    }

    private static let ranks = ["running", "stopped", "starting", "waiting", "failed"]

    private static func worse(_ a: String, _ b: String) -> String {
        func rank(_ status: String) -> Int { ranks.firstIndex(of: status) ?? ranks.count }
        return rank(a) >= rank(b) ? a : b
    }
}

extension FleetReport.Replica {
    init(_ sample: Fleet.Sample) {
        let reading = sample.reading
        name = sample.assignment.replica
        url = sample.assignment.place.description
        status = reading.phase.rawValue
        problem = reading.problem
        generation = reading.generation?.text
        txid = reading.txid?.description
        durableTxid = reading.durable?.description
        durableTime = reading.durableTime?.description
        unsyncedSeconds = reading.unsyncedSeconds
        pendingCommits = reading.pendingCommits
        pendingBytes = reading.pendingBytes
        spooledBytes = reading.spooledBytes
        spoolOverLimit = reading.isSpoolOver
        walBytes = reading.walBytes
        pins = reading.phase == .running ? reading.holdsTwoPins ? 2 : 1 : 0
        forcedResets = reading.forcedResets
        quietResets = reading.quietResets
        writeLockHeldMaxMs = Double(reading.writeLockHeldMax) / 1e6
        snapshotTime = reading.snapshotTime?.description
        attachments = reading.attachments
        generationChanges = reading.generationChanges
        bridges = reading.bridges
        otherAgents = reading.otherAgents
        uploads = reading.uploads
        uploadedBytes = reading.uploadedBytes
        uploadErrors = reading.uploadErrors
        hazards = sample.hazards.map { "\($0.code.rawValue)" }
        verifiedAt = sample.verification?.verifiedAt?.description
        verifyFindings = sample.verification?.findings
    }
}

/// What is known of the process itself.
package struct ProcessFacts: Sendable {
    /// The program's version.
    package let version: String
    /// The process id.
    package let pid: Int32
    /// When it began.
    package let start: Timestamp

    /// A process that begins now.
    package init(version: String, pid: Int32) {
        self.version = version
        self.pid = pid
        start = .now
    }
}
