import ArgumentParser
import Bytes
import Glibc
import Hazards
import Platform

/// `highwater doctor probe DIR`.
struct ProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract: "Prove that two processes share memory and locks in a folder.",
        discussion: """
            Run it twice at the same time, on the two sides that are to share a database: in two \
            containers, or on host and container. They find each other in DIR, exchange messages \
            through mapped memory, and test each other's locks in a scratch file. No database is \
            touched. Exit code 0: coherent. 9: not coherent, or not proven.
            """
    )

    @Argument(help: "The folder that both sides see, as each of them names it.")
    var folder: String

    @Option(name: .both("rounds"), help: "Messages to exchange each way, at least 20.")
    var rounds: UInt32 = 100

    @Option(name: .both("timeout"), help: "Seconds to wait for the other side.")
    var timeout = 60.0

    @Option(name: .both("round-timeout"), help: "Seconds that one message may take.")
    var roundTimeout = 3.0

    @Flag(name: .both("json"), help: "Print JSON.")
    var json = false

    func validate() throws {
        guard rounds >= 20, rounds <= 1_000_000 else {
            throw ValidationError("The number of rounds must be from 20 to 1000000.")
        }
        guard timeout > 0, timeout <= 86_400, roundTimeout > 0, roundTimeout <= 600 else {
            throw ValidationError(
                "Give a -timeout of up to 86400 and a -round-timeout of up to 600 seconds."
            )
        }
    }

    func run() throws {
        var settings = CoherenceProbe.Settings()
        settings.rounds = rounds
        settings.partnerTime = Int64(timeout * 1_000_000_000)
        settings.roundTime = Int64(roundTimeout * 1_000_000_000)
        // A signal takes our files away first.
        let signals = try SignalPipe(signals: [SIGTERM, SIGINT], secondExitCode: 130)
        let descriptor = signals.descriptor.rawValue
        settings.isStopped = {
            (try? Readiness.wait(descriptor, -1, nanoseconds: 0))?.first ?? false
        }
        if !json {
            StandardError.write(
                "waiting for a second 'highwater doctor probe' in '\(folder)' (\(timeout) s)\n"
            )
        }
        let isQuiet = json
        let probe = try CoherenceProbe(folder: folder, settings: settings) { line in
            if !isQuiet { StandardError.write(line + "\n") }
        }
        let result = try probe.run()
        _ = consume signals
        if json {
            try JSONOutput.print(Report(result, folder: folder))
        } else {
            print("\(folder): \(result.answer.rawValue.uppercased())")
            for reason in result.reasons { print("  \(reason)") }
        }
        if result.answer != .coherent { throw ExitCode(9) }
    }

    private struct Side: Encodable {
        var host: String
        var pid: Int32
        var bootId: String
        var device: UInt64
        var inode: UInt64
        var pidNamespace: UInt64
        var mountNamespace: UInt64
        var mount: String
        var rounds: UInt32
        var sawLock: Bool
        var sawUnlock: Bool

        init(_ side: ProbeSide) {
            host = side.note.host
            pid = side.note.process
            bootId = side.note.bootID
            device = side.note.device
            inode = side.note.inode
            pidNamespace = side.note.pidNamespace
            mountNamespace = side.note.mountNamespace
            mount = side.note.mount
            rounds = side.rounds
            sawLock = side.sawLock
            sawUnlock = side.sawUnlock
        }
    }

    private struct Report: Encodable {
        var version = 1
        var folder: String
        var answer: String
        var reasons: [String]
        var rounds: UInt32
        var own: Side?
        var other: Side?

        init(_ result: ProbeResult, folder: String) {
            self.folder = folder
            answer = result.answer.rawValue
            reasons = result.reasons
            rounds = result.rounds
            own = result.own.map(Side.init)
            other = result.other.map(Side.init)
        }
    }
}
