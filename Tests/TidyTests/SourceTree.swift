import Foundation

/// The files of the repository, as the tidy tests read them.
struct SourceTree {
    /// One Swift file.
    struct File: CustomStringConvertible {
        /// The path from the repository's root.
        var path: String
        /// The lines as they are in the file.
        var lines: [String]
        /// The same lines with comments and string literals blanked out.
        var code: [String]
        /// The text's last character is a newline, and only one.
        var endsWithOneNewline: Bool

        /// The folder below Sources or Tests.
        var module: String { String(path.split(separator: "/")[1]) }
        /// The file's name without folder and extension.
        var name: String {
            String(path.split(separator: "/").last!.dropLast(".swift".count))
        }
        var description: String { path }
    }

    /// The repository's root.
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// What ships.
    static let sources = swiftFiles(under: "Sources")
    /// The tests.
    static let tests = swiftFiles(under: "Tests") + swiftFiles(under: "Fuzz")
    /// Both.
    static let all = sources + tests

    /// The paths of all files under `folder` with one of these extensions, sorted.
    static func paths(under folder: String, extensions: Set<String>) -> [String] {
        let start = root.appending(path: folder)
        let walk = FileManager.default.enumerator(atPath: start.path)
        var found: [String] = []
        while let path = walk?.nextObject() as? String {
            let suffix = path.split(separator: "/").last?.split(separator: ".").last ?? ""
            if extensions.contains(String(suffix)), !path.contains("__pycache__") {
                found.append(folder + "/" + path)
            }
        }
        return found.sorted()
    }

    /// The text of a file of the repository.
    static func text(_ path: String) -> String {
        let data = FileManager.default.contents(atPath: root.appending(path: path).path)
        return String(decoding: data ?? Data(), as: UTF8.self)
    }

    private static func swiftFiles(under folder: String) -> [File] {
        paths(under: folder, extensions: ["swift"]).map { path in
            let text = text(path)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            return File(
                path: path,
                lines: lines.dropLast().map(String.init),
                code: CodeScanner.codeOnly(text),
                endsWithOneNewline: text.hasSuffix("\n") && !text.hasSuffix("\n\n")
            )
        }
    }
}
