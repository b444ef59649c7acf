import ArgumentParser
import Configuration
import Supervision

/// `highwater databases`.
struct DatabasesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "databases",
        abstract: "List the databases that the configuration file names or finds.",
        discussion: "Folders are looked into; no store and no running agent is asked."
    )

    @OptionGroup var settings: ConfigOptions

    @Flag(name: .both("json"), help: "Print JSON.")
    var json = false

    private struct Replica: Encodable {
        var name: String
        var url: String
    }

    private struct Entry: Encodable {
        var path: String
        var replicas: [Replica]
    }

    private struct Report: Encodable {
        var version = 1
        var databases: [Entry]
        var problems: [String]
    }

    func run() throws {
        var problems: [String] = []
        let assignments = Assignments(try settings.load().databases) { folder in
            var scan = FolderScan(folder)
            let found = scan.look()
            if let problem = scan.problem { problems.append(problem) }
            return found
        }
        var entries: [Entry] = []
        var places: [String: Int] = [:]
        for assignment in assignments.all {
            let replica = Replica(name: assignment.replica, url: "\(assignment.place)")
            if let index = places[assignment.database] {
                entries[index].replicas.append(replica)
            } else {
                places[assignment.database] = entries.count
                entries.append(Entry(path: assignment.database, replicas: [replica]))
            }
        }
        problems += assignments.problems
        if json {
            return try JSONOutput.print(Report(databases: entries, problems: problems))
        }
        for problem in problems { StandardError.write("warning: \(problem)\n") }
        for entry in entries {
            for replica in entry.replicas {
                let name = replica.name.isEmpty ? "" : "  (\(replica.name))"
                print("\(entry.path)  \(replica.url)\(name)")
            }
        }
    }
}
