import Foundation
import Testing

/// Programs of the system, for what files a test needs.
enum Shell {
    static func run(_ program: String, _ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [program] + arguments
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(program) \(arguments)")
    }

    /// A page of the repository.
    static func text(ofPage path: String) throws -> String {
        let root = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return String(decoding: try Data(contentsOf: root.appending(path: path)), as: UTF8.self)
    }

    /// The `sqlite3` program with a database open in a read transaction, until `end`.
    final class Holder {
        private let process = Process()
        private let input = Pipe()

        init(_ path: String) throws {
            let output = Pipe()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = ["sqlite3", path]
            process.standardInput = input
            process.standardOutput = output
            try process.run()
            let text = "BEGIN; INSERT INTO t VALUES(1); COMMIT; BEGIN; SELECT 'ready' FROM t;\n"
            try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
            var said = Data()
            while !String(decoding: said, as: UTF8.self).contains("ready") {
                let more = output.fileHandleForReading.availableData
                try #require(!more.isEmpty, "sqlite3 ended")
                said += more
            }
        }

        func end() {
            try? input.fileHandleForWriting.close()
            process.waitUntilExit()
        }
    }
}
