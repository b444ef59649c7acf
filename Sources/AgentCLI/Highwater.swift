package import ArgumentParser

/// The command `highwater`.
package struct Highwater: AsyncParsableCommand {
    /// Name, subcommands and help.
    package static let configuration = CommandConfiguration(
        commandName: "highwater",
        abstract: "Continuous backup of SQLite databases, restorable to any commit.",
        version: Self.version,
        subcommands: [
            ReplicateCommand.self, RestoreCommand.self, HistoryCommand.self,
            VerifyCommand.self, RewindCommand.self,
            GenerationsCommand.self, SnapshotsCommand.self, SegmentsCommand.self,
            PruneCommand.self, CheckCommand.self, DoctorCommand.self, VersionCommand.self,
        ]
    )

    /// The program's version; it goes into generation.json, too.
    static let version = "0.1.0"

    /// A command without arguments.
    package init() {}

    /// Runs the command line and ends the process with its exit code.
    package static func run() async -> Never {
        do {
            var command = try Self.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            Self.exit()
        } catch {
            ErrorReport.exit(error)
        }
    }
}

/// `highwater version`.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Print the version."
    )

    func run() { print(Highwater.version) }
}
