import Foundation
import Testing

/// Runs scenarios of Tests/Oracle against the built program, a few at a time.
enum Oracle {
    /// What a run of a scenario came to.
    struct Outcome {
        /// The exit code of the harness; 0 when the scenario passed.
        var status: Int32
        /// Everything that the harness printed.
        var output: String
    }

    /// Scenarios that run at the same time: they wait more than they compute.
    static let width = 2

    /// After this many seconds a scenario is ended, and counts as failed.
    static let limitSeconds = 300

    private static let gate = Gate(width: width)

    private static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The program under test: $HIGHWATER_BINARY, else the one that was built with these tests.
    private static var binary: String {
        if let named = ProcessInfo.processInfo.environment["HIGHWATER_BINARY"] { return named }
        return URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent().appending(path: "highwater").path
    }

    /// $HIGHWATER_PYTHON, else the one that `scripts/python.sh` made, else the system's.
    private static var python: String {
        if let named = ProcessInfo.processInfo.environment["HIGHWATER_PYTHON"] { return named }
        let own = root.appending(path: ".build/oracle/bin/python3").path
        return FileManager.default.isExecutableFile(atPath: own) ? own : "/usr/bin/python3"
    }

    /// Runs one scenario and records an issue with everything it printed if it fails.
    static func expect(_ scenario: String) async throws {
        let outcome = try await run([scenario])
        #expect(outcome.status == 0, "\(outcome.output)")
    }

    /// Runs Tests/Oracle/run.py with these arguments.
    static func run(_ arguments: [String]) async throws -> Outcome {
        await gate.enter()
        do {
            let outcome = try await runNow(arguments)
            await gate.leave()
            return outcome
        } catch {
            await gate.leave()
            throw error
        }
    }

    private static func runNow(_ arguments: [String]) async throws -> Outcome {
        let folder = FileManager.default.temporaryDirectory
        let log = folder.appending(path: "highwater-scenario-\(UUID().uuidString).log")
        _ = FileManager.default.createFile(atPath: log.path, contents: nil)
        defer { try? FileManager.default.removeItem(at: log) }
        let output = try FileHandle(forWritingTo: log)
        defer { try? output.close() }

        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/timeout")
        process.arguments =
            ["--kill-after=10", String(limitSeconds), python]
            + [root.appending(path: "Tests/Oracle/run.py").path, "--binary", binary] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["PYTHONDONTWRITEBYTECODE": "1"],
            uniquingKeysWith: { _, new in new }
        )
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in done.resume() }
            do {
                try process.run()
            } catch {
                process.terminationHandler = nil
                done.resume(throwing: error)
            }
        }
        let text = String(decoding: try Data(contentsOf: log), as: UTF8.self)
        return Outcome(status: process.terminationStatus, output: text)
    }
}

/// Lets a limited number of callers in at a time, in the order in which they came.
actor Gate {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(width: Int) { free = width }

    func enter() async {
        guard free == 0 else {
            free -= 1
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    func leave() {
        guard waiting.isEmpty else {
            waiting.removeFirst().resume()
            return
        }
        free += 1
    }
}
