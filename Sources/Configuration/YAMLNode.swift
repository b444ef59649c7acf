/// A value in a YAML document, with its place.
struct YAMLNode {
    /// What it is.
    indirect enum Content {
        /// Text, without its quotes; `isPlain` when it had none.
        case scalar(String, isPlain: Bool)
        case sequence([YAMLNode])
        case mapping([(key: String, line: Int, value: YAMLNode)])
    }

    /// The line, from 1.
    let line: Int
    let content: Content

    /// Nothing was written: `key:` or `key: null`.
    var isNull: Bool {
        guard case .scalar(let text, true) = content else { return false }
        return text.isEmpty || text == "~" || text == "null"
    }
}
