/// Reads Swift just well enough for the rules of the tidy tests.
enum CodeScanner {
    /// A function, initialiser or accessor and how many lines it has.
    struct Function: Equatable {
        /// The line on which it begins, from 1.
        var line: Int
        /// From the declaration's first line to its closing brace.
        var lineCount: Int
        /// What stands after the keyword, up to the parameter list.
        var name: String
    }

    private enum Mode {
        case code, lineComment, blockComment(depth: Int), string(hashes: Int, isMultiline: Bool)
    }

    /// The lines of `text` with comments and the contents of string literals blanked out.
    ///
    /// Interpolations are blanked with their string.
    static func codeOnly(_ text: String) -> [String] {
        let source = Array(text.utf8)
        var output: [UInt8] = []
        output.reserveCapacity(source.count)
        var mode = Mode.code
        var i = 0
        func matches(_ pattern: String, at index: Int) -> Bool {
            let bytes = Array(pattern.utf8)
            return index + bytes.count <= source.count
                && source[index..<(index + bytes.count)].elementsEqual(bytes)
        }
        while i < source.count {
            let byte = source[i]
            var width = 1
            switch mode {
            case .code:
                if matches("//", at: i) {
                    mode = .lineComment
                } else if matches("/*", at: i) {
                    (mode, width) = (.blockComment(depth: 1), 2)
                } else if let opened = openedString(source, at: i) {
                    (mode, width) = (opened.mode, opened.width)
                } else {
                    output.append(byte)
                    i += 1
                    continue
                }
            case .lineComment:
                if byte == UInt8(ascii: "\n") { mode = .code }
            case .blockComment(let depth):
                if matches("*/", at: i) {
                    (mode, width) = (depth == 1 ? .code : .blockComment(depth: depth - 1), 2)
                } else if matches("/*", at: i) {
                    (mode, width) = (.blockComment(depth: depth + 1), 2)
                }
            case .string(let hashes, let isMultiline):
                let marks = String(repeating: "#", count: hashes)
                let end = (isMultiline ? "\"\"\"" : "\"") + marks
                if matches(end, at: i) {
                    (mode, width) = (.code, end.utf8.count)
                } else if matches("\\" + marks + "(", at: i) {
                    width = interpolationWidth(source, from: i + 1 + hashes) + 1 + hashes
                } else if hashes == 0, byte == UInt8(ascii: "\\") {
                    width = 2
                }
            }
            for offset in 0..<min(width, source.count - i) {
                let isNewline = source[i + offset] == UInt8(ascii: "\n")
                output.append(isNewline ? UInt8(ascii: "\n") : UInt8(ascii: " "))
            }
            i += width
        }
        return String(decoding: output, as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    /// Bytes from the opening parenthesis of an interpolation to its closing one.
    private static func interpolationWidth(_ source: [UInt8], from start: Int) -> Int {
        var depth = 0
        for i in start..<source.count {
            if source[i] == UInt8(ascii: "(") { depth += 1 }
            if source[i] == UInt8(ascii: ")") { depth -= 1 }
            if depth == 0 { return i - start + 1 }
        }
        return source.count - start
    }

    private static func openedString(
        _ source: [UInt8],
        at start: Int
    ) -> (mode: Mode, width: Int)? {
        var i = start
        while i < source.count, source[i] == UInt8(ascii: "#") { i += 1 }
        let hashes = i - start
        guard i < source.count, source[i] == UInt8(ascii: "\"") else { return nil }
        let isMultiline =
            i + 2 < source.count && source[i + 1] == UInt8(ascii: "\"")
            && source[i + 2] == UInt8(ascii: "\"")
        let mode = Mode.string(hashes: hashes, isMultiline: isMultiline)
        return (mode, hashes + (isMultiline ? 3 : 1))
    }

    /// The functions, initialisers and deinitialisers in `code` (as `codeOnly` gives it).
    static func functions(in code: [String]) -> [Function] {
        var found: [Function] = []
        for (index, line) in code.enumerated() {
            guard let name = declaredFunction(line) else { continue }
            guard let end = closingLine(in: code, from: index) else { continue }
            found.append(Function(line: index + 1, lineCount: end - index + 1, name: name))
        }
        return found
    }

    private static func declaredFunction(_ line: String) -> String? {
        let words = line.split(whereSeparator: { $0 == " " })
        for (position, word) in words.enumerated() {
            if word == "func", position + 1 < words.count {
                return String(words[position + 1].prefix { $0 != "(" && $0 != "<" })
            }
            if word.hasPrefix("init(") || word.hasPrefix("init?(") || word.hasPrefix("init<") {
                return "init"
            }
            if word == "deinit" { return "deinit" }
            guard modifiers.contains(word.prefix { $0 != "(" }) || word.hasPrefix("@") else {
                return nil
            }
        }
        return nil
    }

    private static let modifiers: Set<Substring> = [
        "package", "private", "fileprivate", "internal", "public", "static", "class", "final",
        "mutating", "nonmutating", "borrowing", "consuming", "override", "convenience", "required",
        "nonisolated", "isolated", "async", "prefix", "postfix", "infix", "indirect", "unsafe",
    ]

    /// The line of the brace that closes the first brace opened at or after `start`; nil for a
    /// declaration without a body.
    private static func closingLine(in code: [String], from start: Int) -> Int? {
        var depth = 0
        var parentheses = 0
        for index in start..<code.count {
            for character in code[index] {
                switch character {
                case "(": parentheses += 1
                case ")": parentheses -= 1
                case "{": depth += 1
                case "}":
                    depth -= 1
                    if depth == 0, parentheses == 0 { return index }
                    if depth < 0 { return nil }
                default: break
                }
            }
            // A requirement of a protocol has no body: its signature ends without a brace.
            if depth == 0, parentheses == 0, index + 1 < code.count {
                let next = code[index + 1].drop { $0 == " " }
                let goesOn = ["{", "->", "where", "async", "throws", ")"].contains {
                    next.hasPrefix($0)
                }
                if !goesOn { return nil }
            }
        }
        return nil
    }
}
