import Foundation

/// The strict S3 server of Tests/S3Servers in a process of its own. It ends with this value, and
/// with this process.
package final class StrictServer: Sendable {
    /// What the server prints when it listens.
    package struct Facts: Codable, Sendable {
        package var endpoint: String
        package var control: String
        package var region: String
        package var bucket: String
        package var accessKey: String
        package var secretKey: String
        package var folder: String
    }

    /// One request, as the server's log has it.
    package struct Entry: Codable, Sendable {
        package var number: Int
        package var connection: Int
        package var method: String?
        package var target: String?
        package var operation: String?
        package var key: String?
        package var status: Int
        package var error: String?
        package var fault: String?
        package var requestBytes: Int?
        package var responseBytes: Int?
        package var headers: [String: String]?
    }

    /// Counts of what the server was asked.
    package struct Statistics: Codable, Sendable {
        package var requests: Int
        package var operations: [String: Int]
        package var errors: [String: Int]
        package var faults: [String: Int]
        /// Requests with a wrong signature, digest or date.
        package var refused: Int
        package var connections: Int
    }

    /// How to reach the server.
    package let facts: Facts
    private let process: Process
    private let input: Pipe

    /// A server that was started for this value; `arguments` are those of server.py.
    package init(_ arguments: [String] = []) throws {
        process = Process()
        input = Pipe()
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            ["python3", Self.folder.appending(path: "strict/server.py").path] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["PYTHONDONTWRITEBYTECODE": "1"],
            uniquingKeysWith: { _, new in new }
        )
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line = Data()
        while line.last != UInt8(ascii: "\n") {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            line += more
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        facts = try decoder.decode(Facts.self, from: line)
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    /// Tests/S3Servers.
    package static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "S3Servers")

    /// Replaces the rules by which the server misbehaves: a JSON list, see strict/faults.py.
    package func setRules(_ rules: String) throws { _ = try control("/rules", rules) }

    /// Changes settings: a JSON object, see strict/server.py.
    package func setSettings(_ settings: String) throws { _ = try control("/settings", settings) }

    /// Makes a bucket.
    package func makeBucket(_ name: String) throws {
        _ = try control("/bucket", #"{"name": "\#(name)"}"#)
    }

    /// Requests whose number is above `after`.
    package func log(after: Int = -1) throws -> [Entry] {
        try decoder.decode([Entry].self, from: control("/log?after=\(after)"))
    }

    /// Counts since the start.
    package func statistics() throws -> Statistics {
        try decoder.decode(Statistics.self, from: control("/stats"))
    }

    /// Keys of uploads that were begun and neither completed nor aborted.
    package func uploads() throws -> [String] {
        try decoder.decode([String].self, from: control("/uploads?bucket=\(facts.bucket)"))
    }

    private var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }

    /// One request to the control endpoint.
    private func control(_ path: String, _ body: String? = nil) throws -> Data {
        let curl = Process()
        curl.executableURL = URL(filePath: "/usr/bin/env")
        curl.arguments = ["curl", "-sS", "--fail", "--max-time", "20", facts.control + path]
        if body != nil { curl.arguments? += ["--data-binary", "@-"] }
        let output = Pipe()
        let source = Pipe()
        curl.standardOutput = output
        curl.standardInput = source
        try curl.run()
        source.fileHandleForWriting.write(Data((body ?? "").utf8))
        try source.fileHandleForWriting.close()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        curl.waitUntilExit()
        guard curl.terminationStatus == 0 else { throw ControlFailed(path: path) }
        return data
    }

    /// The control endpoint refused a request.
    package struct ControlFailed: Error {
        package let path: String
    }
}
