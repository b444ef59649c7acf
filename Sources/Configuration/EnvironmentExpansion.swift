/// Puts environment variables into a value: `${NAME}`, `${NAME:-otherwise}`, and a value that is
/// `$NAME` and nothing else. `$${` stands for `${`.
///
/// Values are expanded, not the file's text, so that what is in a variable cannot become YAML; and
/// a secret with a dollar sign in it stays as it is.
struct EnvironmentExpansion {
    /// The variables; nil when nothing is expanded.
    let environment: [String: String]?

    /// Why a value could not be expanded.
    enum Failure: Error {
        case undefined(name: String)
        case unclosed
    }

    func expand(_ text: String) throws(Failure) -> String {
        guard let environment, text.utf8.contains(UInt8(ascii: "$")) else { return text }
        if text.hasPrefix("$"), Self.isName(text.dropFirst()),
            let value = environment[String(text.dropFirst())]
        {
            return value
        }
        var result = ""
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            let before = rest[..<start.lowerBound]
            if before.hasSuffix("$") {
                result += before.dropLast() + "${"
                rest = rest[start.upperBound...]
                continue
            }
            result += before
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else { throw .unclosed }
            result += try value(of: rest[start.upperBound..<end])
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }

    private func value(of expression: Substring) throws(Failure) -> String {
        let parts = expression.firstRange(of: ":-")
        let name = String(parts.map { expression[..<$0.lowerBound] } ?? expression)
        if let value = environment?[name], !(value.isEmpty && parts != nil) { return value }
        guard let parts else { throw .undefined(name: name) }
        return String(expression[parts.upperBound...])
    }

    /// A variable's name as people write them: capitals, digits, underscores.
    private static func isName(_ text: Substring) -> Bool {
        guard let first = text.first, first.isASCII, first.isUppercase || first == "_" else {
            return false
        }
        return text.allSatisfy { $0.isASCII && ($0.isUppercase || $0.isNumber || $0 == "_") }
    }
}
