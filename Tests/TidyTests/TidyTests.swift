import Foundation
import Testing

/// What swift-format cannot check, as tests.
@Suite struct TidyTests {
    /// Lines in a file, at most; aim at 250.
    static let fileLineLimit = 400
    /// Lines in a function, at most.
    static let functionLineLimit = 60
    /// Columns in a line, at most.
    static let columnLimit = 100

    /// Functions that are over the limit, with the lengths that they may not exceed.
    ///
    /// Entries only ever shrink or go; a new one needs a reason in the commit that adds it.
    static let longFunctions: [String: Int] = [:]

    @Test(arguments: SourceTree.all)
    func `files are short and end with one newline`(_ file: SourceTree.File) {
        #expect(file.lines.count <= Self.fileLineLimit, "\(file): \(file.lines.count) lines")
        #expect(file.endsWithOneNewline, "\(file) does not end with one newline")
    }

    @Test func `lines are at most 100 columns and have no blanks at the end`() {
        let others =
            SourceTree.paths(
                under: "Tests/Oracle",
                extensions: ["py"]
            ) + SourceTree.paths(under: "Benchmarks", extensions: ["py"])
            + SourceTree.paths(under: "Tests/S3Servers", extensions: ["py"])
            + SourceTree.paths(under: "Fuzz", extensions: ["py"])
            + SourceTree.paths(under: "Tests/Chaos", extensions: ["py"])
            + SourceTree.paths(under: "Tests/Soak", extensions: ["py"])
            + SourceTree.paths(under: "scripts", extensions: ["sh"])
        let texts =
            SourceTree.all.map { ($0.path, $0.lines) }
            + others.map {
                ($0, SourceTree.text($0).split(separator: "\n").map(String.init))
            }
        for (path, lines) in texts {
            for (index, line) in lines.enumerated() {
                let place = "\(path):\(index + 1)"
                #expect(line.count <= Self.columnLimit, "\(place): \(line.count) columns")
                #expect(line.last?.isWhitespace != true, "\(place): blanks at the end")
            }
        }
    }

    @Test(arguments: SourceTree.all)
    func `functions are at most 60 lines`(_ file: SourceTree.File) {
        for function in CodeScanner.functions(in: file.code) {
            let limit = Self.longFunctions["\(file.path) \(function.name)"]
            #expect(
                function.lineCount <= limit ?? Self.functionLineLimit,
                "\(file):\(function.line): \(function.name) has \(function.lineCount) lines"
            )
        }
    }

    @Test(arguments: SourceTree.all)
    func `package declarations are documented`(_ file: SourceTree.File) {
        guard file.path.hasPrefix("Sources/") else { return }
        for (index, line) in file.code.enumerated() {
            guard Self.isPackageDeclaration(line), !Self.isDocumented(file, before: index) else {
                continue
            }
            Issue.record("\(file):\(index + 1): no doc comment: \(line.drop { $0 == " " })")
        }
    }

    @Test(arguments: SourceTree.all)
    func `no file or type is named after nothing`(_ file: SourceTree.File) {
        for word in ["Manager", "Helper", "Utils", "Utilities", "Impl", "Misc", "Common"] {
            #expect(!file.name.hasSuffix(word), "\(file): say what it does instead of \(word)")
        }
    }

    @Test(arguments: SourceTree.all)
    func `nothing is left for later and nothing is stubbed`(_ file: SourceTree.File) {
        guard file.module != "TidyTests" else { return }
        for (index, line) in file.lines.enumerated() {
            for word in ["TODO", "FIXME", "XXX", "HACK"] where line.contains(word) {
                Issue.record("\(file):\(index + 1): \(word)")
            }
        }
    }

    @Test(arguments: SourceTree.sources)
    func `concurrency is structured outside Platform`(_ file: SourceTree.File) {
        guard file.module != "Platform" else { return }
        for (index, line) in file.code.enumerated() {
            for banned in ["Task {", "Task(", "Task.detached", "Task.immediate"]
            where Self.containsWord(banned, in: line) {
                Issue.record("\(file):\(index + 1): \(banned) starts work that nobody waits for")
            }
        }
    }

    @Test(arguments: SourceTree.sources)
    func `Foundation is not imported`(_ file: SourceTree.File) {
        for (line, module) in DependencyTests.imports(of: file) {
            let banned = ["Foundation", "FoundationNetworking", "FoundationXML"].contains(module)
            #expect(!banned, "\(file):\(line): import \(module) adds 40 MB to the binary")
        }
    }

    @Test(arguments: SourceTree.sources)
    func `each escape from the compiler's checks has its proof above it`(_ file: SourceTree.File) {
        for (index, line) in file.code.enumerated() {
            guard line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)")
            else { continue }
            let above = index > 0 ? file.lines[index - 1].drop { $0 == " " } : ""
            #expect(
                above.hasPrefix("//"),
                "\(file):\(index + 1): a comment above has to prove that this is safe"
            )
        }
    }

    @Test func `escapes from the compiler's checks do not multiply`() {
        let count = SourceTree.sources.flatMap(\.code).count {
            $0.contains("@unchecked Sendable") || $0.contains("nonisolated(unsafe)")
        }
        #expect(count <= Self.escapeLimit, "\(count) escapes; the limit is \(Self.escapeLimit)")
    }

    /// `@unchecked Sendable` and `nonisolated(unsafe)` in Sources; lower it when one goes.
    static let escapeLimit = 12

    @Test func `the built programs do not link Foundation`() throws {
        for configuration in ["debug", "release"] {
            let path = SourceTree.root.appending(path: ".build/\(configuration)/highwater").path
            guard let binary = FileManager.default.contents(atPath: path) else { continue }
            for name in ["libFoundation.so", "libFoundationInternationalization.so", "icudt"] {
                #expect(binary.range(of: Data(name.utf8)) == nil, "\(path) needs \(name)")
            }
        }
    }

    private static func isPackageDeclaration(_ line: String) -> Bool {
        let words = line.split(separator: " ").drop { $0.hasPrefix("@") }
        guard words.first == "package", let next = words.dropFirst().first else { return false }
        // What a protocol of the standard library asks for is documented there.
        let known = [
            "package var description:", "package static func ==", "package static func <",
            "package func hash(into", "package static func +", "package static func -",
            "package static func +=", "package static func -=", "package var debugDescription:",
        ]
        let text = words.joined(separator: " ")
        return next != "import" && next != "extension" && !known.contains { text.hasPrefix($0) }
    }

    private static func isDocumented(_ file: SourceTree.File, before index: Int) -> Bool {
        var above = index - 1
        while above >= 0 {
            let line = file.lines[above].drop { $0 == " " }
            // One comment may stand above a group of stored properties.
            let isSibling = ["package var", "package let"].contains { line.hasPrefix($0) }
            guard line.hasPrefix("@") || isSibling else { return line.hasPrefix("///") }
            above -= 1
        }
        return false
    }

    private static func containsWord(_ word: String, in line: String) -> Bool {
        guard let range = line.range(of: word) else { return false }
        guard range.lowerBound > line.startIndex else { return true }
        let before = line[line.index(before: range.lowerBound)]
        return !before.isLetter && before != "_"
    }
}
