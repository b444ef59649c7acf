/// Reads a mapping key by key. Keys that are not known are complained about before any value is.
struct KeyReader {
    let document: DocumentContext
    let line: Int
    /// What the mapping is about, for messages.
    let subject: String
    private var entries: [String: (line: Int, value: YAMLNode)] = [:]
    private let known: [String]

    init(
        _ node: YAMLNode,
        subject: String,
        known: [String],
        _ document: DocumentContext
    ) throws(ConfigurationError) {
        self.known = known
        self.document = document
        self.subject = subject
        line = node.line
        if node.isNull { return }
        guard case .mapping(let entries) = node.content else {
            throw document.error(node.line, "\(subject) has to be keys and values")
        }
        for entry in entries {
            guard known.contains(entry.key) else { throw unknown(entry.key, line: entry.line) }
            self.entries[entry.key] = (entry.line, entry.value)
        }
    }

    private func unknown(_ key: String, line: Int) -> ConfigurationError {
        let hint: String
        if let nearest = NearestKey.of(key, in: known) {
            hint = "did you mean '\(nearest)'?"
        } else {
            hint = "known are \(Set(known).sorted().joined(separator: ", "))"
        }
        return document.error(line, "\(subject) has no key '\(key)'; \(hint)")
    }

    /// The value of a key, and the line; nil when it is not there or null.
    mutating func take(_ key: String) -> (line: Int, value: YAMLNode)? {
        assert(known.contains(key), "\(key) is read and not known")
        guard let entry = entries.removeValue(forKey: key), !entry.value.isNull else { return nil }
        return entry
    }

    /// The line of a key that was not read yet; the mapping's when it is not there.
    func line(of key: String) -> Int { entries[key]?.line ?? line }

    /// Keys of Litestream's that mean nothing here: noted, not refused.
    mutating func ignore(_ keys: [String]) {
        for key in keys {
            if let entry = take(key) { document.ignored.note("\(key) (line \(entry.line))") }
        }
    }

    /// A number of bytes, so many MiB at least.
    mutating func size(
        _ key: String,
        mebibytes: Int64,
        example: String
    ) throws(ConfigurationError) -> Int64? {
        guard let entry = take(key) else { return nil }
        let text = try document.text(entry.value, key: key)
        guard let bytes = Quantity.bytes(text), bytes >= mebibytes << 20 else {
            throw document.error(
                entry.line,
                "'\(key)' takes a size of \(mebibytes)MiB or more, as in \(example)"
            )
        }
        return bytes
    }

    mutating func text(_ key: String) throws(ConfigurationError) -> String? {
        guard let entry = take(key) else { return nil }
        return try document.text(entry.value, key: key)
    }

    mutating func flag(_ key: String) throws(ConfigurationError) -> Bool? {
        guard let entry = take(key) else { return nil }
        switch try document.text(entry.value, key: key).lowercased() {
        case "true", "yes", "on": return true
        case "false", "no", "off": return false
        default: throw document.error(entry.line, "'\(key)' is true or false")
        }
    }

    /// A length of time, in nanoseconds.
    mutating func duration(_ key: String) throws(ConfigurationError) -> Int64? {
        guard let entry = take(key) else { return nil }
        guard let value = Quantity.nanoseconds(try document.text(entry.value, key: key)) else {
            throw document.error(
                entry.line,
                "'\(key)' takes a length of time with its unit, as in 500ms, 10s, 1h30m or 7d"
            )
        }
        return value
    }

    /// The permission bits of a file.
    mutating func permissions(_ key: String) throws(ConfigurationError) -> UInt32? {
        guard let entry = take(key) else { return nil }
        guard let value = Quantity.permissions(try document.text(entry.value, key: key)) else {
            throw document.error(
                entry.line,
                "'\(key)' takes a mode in octal, with a zero in front: 0000 to 0777, as in 0600"
            )
        }
        return value
    }

    mutating func items(_ key: String) throws(ConfigurationError) -> [YAMLNode]? {
        guard let entry = take(key) else { return nil }
        guard case .sequence(let items) = entry.value.content else {
            throw document.error(entry.line, "'\(key)' takes a list; begin each entry with '- '")
        }
        return items
    }

    mutating func section(
        _ key: String,
        known: [String]
    ) throws(ConfigurationError) -> KeyReader? {
        guard let entry = take(key) else { return nil }
        return try KeyReader(entry.value, subject: "'\(key)'", known: known, document)
    }
}

/// What all parts of one file's reading share.
struct DocumentContext {
    let path: String
    let expansion: EnvironmentExpansion
    let ignored = IgnoredKeys()

    func error(_ line: Int, _ message: String) -> ConfigurationError {
        ConfigurationError(path: path, line: line, message)
    }

    /// A scalar with its variables expanded. The value itself is never part of a message.
    func text(_ node: YAMLNode, key: String) throws(ConfigurationError) -> String {
        guard case .scalar(let text, _) = node.content else {
            throw error(node.line, "'\(key)' takes one value, not a list or keys")
        }
        // Whoever hands it to the kernel would lose what follows.
        guard !text.utf8.contains(0) else {
            throw error(node.line, "'\(key)' has a character with the code 0 in it")
        }
        do throws(EnvironmentExpansion.Failure) {
            return try expansion.expand(text)
        } catch {
            switch error {
            case .unclosed: throw self.error(node.line, "'\(key)': a '${' has no '}'")
            case .undefined(let name):
                throw self.error(
                    node.line,
                    "'\(key)': the environment variable \(name) is not set; set it, or give a "
                        + "value for that case: ${\(name):-value}"
                )
            }
        }
    }
}

/// Keys that were passed over.
final class IgnoredKeys {
    private(set) var keys: [String] = []

    func note(_ key: String) { keys.append(key) }
}
