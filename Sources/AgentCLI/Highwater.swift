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
            PruneCommand.self, CheckCommand.self, DoctorCommand.self,
            DatabasesCommand.self, ConfigCommand.self,
            StatusCommand.self, ListCommand.self, InfoCommand.self, SyncCommand.self,
            StartCommand.self, StopCommand.self, RegisterCommand.self, UnregisterCommand.self,
            ReloadCommand.self, VersionCommand.self,
        ],
        // No short name: a wrong option with an h in it would be a bundle that asks for help.
        helpNames: [.customLong("help"), .customLong("help", withSingleDash: true)]
    )

    /// The program's version; it goes into generation.json, too.
    static let version = "0.1.0"

    /// A command without arguments.
    package init() {}

    private static func parsed() throws -> any ParsableCommand {
        let arguments = CommandLine.arguments.dropFirst().map { $0 == "-h" ? "--help" : $0 }
        do {
            return try Self.parseAsRoot(arguments)
        } catch  where exitCode(for: error) == .validationFailure {
            guard let unknown = UnknownOption.first(in: arguments) else { throw error }
            throw ValidationError(
                "Unknown option '\(unknown.option)'. See 'highwater \(unknown.command) --help'."
            )
        }
    }

    /// Runs the command line and ends the process with its exit code.
    package static func run() async -> Never {
        do {
            var command = try parsed()
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
