import Foundation

/// Runs a Python program of the tests to its end.
package enum PythonProgram {
    /// How a program ended.
    package struct Outcome: Sendable {
        /// The exit code.
        package var status: Int32
        /// Standard output and standard error.
        package var output: String
    }

    /// The Python with boto3, which `servers.py python` installs; nil when there is none.
    package static var withBoto: String? {
        let path = StrictServer.folder.deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: ".build/servers/python/bin/python3").path
        guard FileManager.default.isExecutableFile(atPath: path) else { return nil }
        return path
    }

    /// Runs `python program arguments…`; blocks until it ends.
    package static func run(
        _ python: String,
        _ program: String,
        _ arguments: [String] = [],
        input: String = ""
    ) throws -> Outcome {
        let process = Process()
        // A file, not a pipe: a program that ends early must not end this one by SIGPIPE.
        let source = FileManager.default.temporaryDirectory
            .appending(path: "highwater-input-\(UUID().uuidString)")
        try Data(input.utf8).write(to: source)
        defer { try? FileManager.default.removeItem(at: source) }
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [python, program] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["PYTHONDONTWRITEBYTECODE": "1"],
            uniquingKeysWith: { _, new in new }
        )
        process.standardInput = try FileHandle(forReadingFrom: source)
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus,
            output: String(decoding: data, as: UTF8.self)
        )
    }
}
