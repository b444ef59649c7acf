/// The shared files of Amazon's tools, `~/.aws/config` and `~/.aws/credentials`: sections with
/// settings (docs.aws.amazon.com, "Shared config and credentials files").
///
/// Comments begin a line with `#` or `;`, or follow a value after a blank. An indented line
/// belongs to the setting above it.
struct ProfileFile: Sendable {
    /// Settings by section. Section names are as in the file: `default`, `profile x`,
    /// `sso-session x`.
    private(set) var sections: [String: [String: String]] = [:]

    init(_ text: String) {
        var section: String?
        var setting: String?
        for line in text.split(whereSeparator: \.isNewline) {
            let trimmed = line.trimmingBlanks
            guard let first = trimmed.first, first != "#", first != ";" else { continue }
            if first == "[" {
                let name = trimmed.dropFirst().prefix { $0 != "]" }
                section = name.split(whereSeparator: \.isWhitespace).joined(separator: " ")
                setting = nil
                continue
            }
            guard let section, let equals = trimmed.firstIndex(of: "=") else { continue }
            let name = trimmed[..<equals].trimmingBlanks.lowercased()
            let value = Self.withoutComment(trimmed[trimmed.index(after: equals)...])
            if line.first == " " || line.first == "\t", let setting {
                // Nested settings, such as those under `s3 =`.
                sections[section, default: [:]]["\(setting).\(name)"] = value
            } else {
                sections[section, default: [:]][name] = value
                setting = name
            }
        }
    }

    /// The settings of a profile. In the configuration file other profiles than `default` are
    /// called `profile x`, in the credentials file `x`.
    func profile(_ name: String) -> [String: String]? {
        sections["profile \(name)"] ?? sections[name]
    }

    private static func withoutComment(_ value: Substring) -> String {
        let text = value.trimmingBlanks
        var before: Character = " "
        for index in text.indices {
            if text[index] == "#" || text[index] == ";", before == " " || before == "\t" {
                return String(text[..<index].trimmingBlanks)
            }
            before = text[index]
        }
        return String(text)
    }
}

extension Substring {
    /// The text without blanks at either end.
    var trimmingBlanks: Substring {
        let start = firstIndex { !$0.isWhitespace } ?? endIndex
        guard let end = lastIndex(where: { !$0.isWhitespace }), start <= end else {
            return self[endIndex...]
        }
        return self[start...end]
    }
}
