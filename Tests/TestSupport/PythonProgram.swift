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
        let source = Pipe()
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [python, program] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["PYTHONDONTWRITEBYTECODE": "1"],
            uniquingKeysWith: { _, new in new }
        )
        process.standardInput = source
        process.standardOutput = output
        process.standardError = output
        try process.run()
        source.fileHandleForWriting.write(Data(input.utf8))
        try source.fileHandleForWriting.close()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus,
            output: String(decoding: data, as: UTF8.self)
        )
    }
}
