import ArgumentParser
import HTTPTransport
import Platform
import Supervision

/// `highwater status`.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say how a running agent's databases are doing.",
        discussion: """
            The exit code is 10 when a database cannot be backed up at present, 5 when no agent \
            answers.
            """
    )

    @Argument(help: "A database; default: all.")
    var database: String?

    @OptionGroup var options: SocketOptions

    func run() async throws {
        var path = "/status"
        if let database {
            path += "?path=" + ControlClient.encoded(try DatabaseArgument.path(database))
        }
        let answer = try await ControlClient(options).send(.get, path, as: FleetReport.self)
        if options.json {
            print(answer.text, terminator: "")
        } else {
            for database in answer.value.databases { Self.show(database) }
            for problem in answer.value.problems { print("left out: \(problem)") }
        }
        if answer.value.databases.contains(where: { $0.status == "failed" }) {
            throw ExitCode(10)
        }
    }

    private static func show(_ database: FleetReport.Database) {
        print(database.path)
        for replica in database.replicas {
            let name = replica.name.isEmpty ? "" : "\(replica.name)  "
            print("  \(name)\(replica.status)  \(replica.url)")
            if let txid = replica.durableTxid {
                let time = replica.durableTime.map { " of \($0)" } ?? ""
                print("    durable to \(txid)\(time), \(behind(replica))")
            }
            if let problem = replica.problem { print("    problem: \(problem)") }
            if let findings = replica.verifyFindings, findings > 0 {
                print(
                    "    problem: the backup is in doubt, findings of verification: \(findings); "
                        + "highwater verify names them, see docs/OPERATIONS.md"
                )
            }
            if let time = replica.verifiedAt { print("    verified without any doubt at \(time)") }
            for hazard in replica.hazards {
                print("    hazard: \(hazard), see docs/HAZARDS.md")
            }
        }
    }

    private static func behind(_ replica: FleetReport.Replica) -> String {
        guard replica.unsyncedSeconds > 0 else { return "nothing waits" }
        let seconds = (replica.unsyncedSeconds * 10).rounded() / 10
        return "\(replica.pendingCommits) commits behind, the oldest for \(seconds) s"
    }
}

/// `highwater list`.
struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List a running agent's databases."
    )

    @OptionGroup var options: SocketOptions

    func run() async throws {
        let answer = try await ControlClient(options).send(.get, "/list", as: FleetReport.self)
        if options.json { return print(answer.text, terminator: "") }
        for database in answer.value.databases { print("\(database.status)  \(database.path)") }
    }
}

/// `highwater info`.
struct InfoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info",
        abstract: "Say which agent listens at the control socket."
    )

    @OptionGroup var options: SocketOptions

    func run() async throws {
        let answer = try await ControlClient(options).send(
            .get,
            "/info",
            as: FleetReport.ProcessReport.self
        )
        if options.json { return print(answer.text, terminator: "") }
        let info = answer.value
        print("version    \(info.programVersion)")
        print("pid        \(info.pid)")
        print("started    \(info.startTime), \(info.uptimeSeconds) s ago")
        print("databases  \(info.databases)")
        for problem in info.problems { print("left out   \(problem)") }
    }
}
