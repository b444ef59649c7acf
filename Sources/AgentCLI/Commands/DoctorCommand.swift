import ArgumentParser
import Bytes
import Hazards
import Platform
import Replication
import WALFormat

/// `highwater doctor`: a look at a database, unless `probe` is asked for.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Find out whether a database's set-up can lose data, and say what to do.",
        usage: """
            highwater doctor [-json] [-peer-wait SECONDS] DB
            highwater doctor probe [-json] [-rounds N] [-timeout SECONDS] DIR
            """,
        discussion: """
            'highwater doctor DB' looks at file system, mounts, the processes that have the \
            database open, and the database's own files. It changes nothing and takes no lock. \
            Exit code 0: the worst finding is ok or warn. 9: high or fatal. docs/HAZARDS.md \
            explains each finding.

            'highwater doctor probe DIR' proves what the look can only guess: run it twice, once \
            on each side. (A database that is called probe is written ./probe.)
            """,
        subcommands: [DoctorDatabaseCommand.self, ProbeCommand.self],
        defaultSubcommand: DoctorDatabaseCommand.self
    )
}

/// `highwater doctor DB`.
struct DoctorDatabaseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "database",
        abstract: "Look at a database's set-up; the word 'database' may be left out."
    )

    @Argument(help: "The database's path. It need not exist yet.")
    var database: String

    @Flag(name: .both("json"), help: "Print JSON.")
    var json = false

    @Option(
        name: .both("peer-wait"),
        help: "Seconds to wait for the next beat of a heartbeat that another kernel left."
    )
    var peerWait = 10.0

    func validate() throws {
        guard peerWait >= 0, peerWait <= 600 else {
            throw ValidationError("The wait must be from 0 to 600 seconds.")
        }
    }

    func run() throws {
        let examination = try Examination.run(
            database,
            peerTime: Int64(peerWait * 1_000_000_000),
            localFolder: { LocalState(databasePath: $0).folder }
        )
        if json {
            try JSONOutput.print(DoctorReport(examination))
        } else {
            print(DoctorTable(examination).text)
        }
        if examination.verdict.isUnsafe { throw ExitCode(9) }
    }
}

/// The findings as people read them.
struct DoctorTable {
    let text: String

    init(_ examination: Examination) {
        var lines = [
            "\(examination.layout.path): \(examination.verdict.description.uppercased())", "",
        ]
        for finding in examination.findings.worstFirst {
            let label = Self.padded(finding.verdict.description.uppercased(), 6)
            let code = Self.padded(finding.code.rawValue, 16)
            lines += Self.wrapped(finding.message, first: "\(label)\(code) ")
            if !finding.remedy.isEmpty {
                lines += Self.wrapped(finding.remedy, first: Self.padded("", 23) + "→ ")
            }
        }
        text = lines.joined(separator: "\n")
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// Words in lines of at most 100 columns; later lines begin below the first one's text.
    private static func wrapped(_ text: String, first: String) -> [String] {
        var lines: [String] = []
        var line = first
        let indent = padded("", first.count)
        for word in text.split(separator: " ") {
            let isEmpty = line == first || line == indent
            if !isEmpty, line.count + 1 + word.count > 100 {
                lines.append(line)
                line = indent
            }
            line += (line == first || line == indent ? "" : " ") + word
        }
        return lines + [line]
    }
}

/// The JSON of `doctor` (docs/CLI.md).
struct DoctorReport: Encodable {
    struct Item: Encodable {
        var code: String
        var verdict: String
        var message: String
        var remedy: String?
    }

    struct Process: Encodable {
        var pid: Int32
        var name: String
        var path: String?
        var locks: [String]
        var sqliteVersion: String?
        var sameMounts: Bool
        var samePidNamespace: Bool
    }

    struct Database: Encodable {
        var bytes: Int64
        var journalMode: String
        var pageSize: Int?
        var writerVersion: String?
        var walBytes: Int64
        var walFrames: UInt32?
        var backfilledFrames: UInt32?
    }

    struct Peer: Encodable {
        var host: String
        var pid: Int32
        var bootId: String
        var device: UInt64
        var inode: UInt64
    }

    var version = 1
    var database: String
    var path: String
    var verdict: String
    var fileSystem: String
    var fileSystemFamily: String
    var mountPoint: String?
    var mountSource: String?
    var bootId: String
    var environment: [String]
    var findings: [Item]
    var openers: [Process]
    var openersComplete: Bool
    var peers: [Peer]
    var facts: Database?

    init(_ examination: Examination) {
        let layout = examination.layout
        database = layout.given
        path = layout.path
        verdict = examination.verdict.description
        fileSystem = layout.kind.name
        fileSystemFamily = layout.kind.family.rawValue
        mountPoint = layout.folderMount?.point
        mountSource = layout.folderMount?.source
        bootId = examination.host.bootID
        environment = examination.host.hints
        findings = examination.findings.worstFirst.map {
            Item(
                code: $0.code.rawValue,
                verdict: $0.verdict.description,
                message: $0.message,
                remedy: $0.remedy.isEmpty ? nil : $0.remedy
            )
        }
        openers = examination.openers.processes.map {
            Process(
                pid: $0.process,
                name: $0.name,
                path: $0.databases.first?.path,
                locks: $0.locks,
                sqliteVersion: $0.sqliteVersion,
                sameMounts: $0.sharesMounts,
                samePidNamespace: $0.sharesProcesses
            )
        }
        openersComplete = examination.openers.population != .unknown
        peers = examination.peers.map {
            Peer(
                host: $0.host,
                pid: $0.process,
                bootId: $0.bootID,
                device: $0.device,
                inode: $0.inode
            )
        }
        guard let inspection = examination.database, let header = inspection.header else { return }
        facts = Database(
            bytes: layout.database?.size ?? 0,
            journalMode: header.isWAL ? "wal" : "rollback",
            pageSize: header.pageSize?.bytes,
            writerVersion: header.writer?.description,
            walBytes: inspection.walBytes,
            walFrames: inspection.index?.header?.mxFrame,
            backfilledFrames: inspection.index?.checkpoint?.nBackfill
        )
    }
}
