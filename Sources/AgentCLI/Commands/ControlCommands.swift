import ArgumentParser
import HTTPTransport
import Platform
import Supervision

/// A database of a running agent, and how long an answer may take.
struct ChangeOptions: ParsableArguments {
    @Argument(help: "The database's path.")
    var database: String

    @Option(name: .both("timeout"), help: "Seconds that it may take.")
    var timeout = 30.0

    @OptionGroup var options: SocketOptions

    func validate() throws {
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("The timeout must be above 0 and at most 86400 seconds.")
        }
    }

    /// Asks for a change and says what it came to.
    func ask(_ path: String, _ fill: (inout Control.Body) -> Void = { _ in }) async throws {
        var body = Control.Body(path: try DatabaseArgument.path(database), timeout: timeout)
        fill(&body)
        let answer = try await ControlClient(options).send(
            .post,
            path,
            body: body,
            seconds: timeout,
            as: Control.Outcome.self
        )
        if options.json { return print(answer.text, terminator: "") }
        let words = answer.value.status.replacing("_", with: " ")
        let txid = answer.value.txid.map { ", durable to \($0)" } ?? ""
        print("\(body.path ?? ""): \(words)\(txid)")
    }
}

/// `highwater sync`.
struct SyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync",
        abstract: "Have a running agent send what is committed now.",
        discussion: """
            With -wait the command ends when everything that was committed before it began is \
            durable at all places of the database; exit code 3 when that takes too long.
            """
    )

    @OptionGroup var change: ChangeOptions

    @Flag(name: .both("wait"), help: "Wait until it is durable.")
    var wait = false

    func run() async throws { try await change.ask("/sync") { $0.wait = wait } }
}

/// `highwater start`.
struct StartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Have a running agent back up a database again that was stopped."
    )

    @OptionGroup var change: ChangeOptions

    func run() async throws { try await change.ask("/start") }
}

/// `highwater stop`.
struct StopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Have a running agent make a database's last commits durable and let go of it."
    )

    @OptionGroup var change: ChangeOptions

    func run() async throws { try await change.ask("/stop") }
}

/// `highwater register`.
struct RegisterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "register",
        abstract: "Have a running agent back up another database, until it ends.",
        discussion: "What is to last belongs into the configuration file."
    )

    @OptionGroup var change: ChangeOptions

    @Option(name: .both("replica"), help: "Where it goes: the URL.")
    var replica: String

    func run() async throws { try await change.ask("/register") { $0.url = replica } }
}

/// `highwater unregister`.
struct UnregisterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unregister",
        abstract: "Have a running agent leave a database out.",
        discussion: """
            Its last commits are made durable. A database of the configuration file comes back \
            when the file is read again.
            """
    )

    @OptionGroup var change: ChangeOptions

    func run() async throws { try await change.ask("/unregister") }
}

/// `highwater reload`.
struct ReloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Have a running agent read its configuration file again, as SIGHUP does.",
        discussion: "Databases whose settings have not changed go on undisturbed."
    )

    @OptionGroup var options: SocketOptions

    func run() async throws {
        let answer = try await ControlClient(options).send(
            .post,
            "/reload",
            seconds: 60,
            as: Control.Outcome.self
        )
        if options.json { return print(answer.text, terminator: "") }
        print("reloaded")
    }
}
