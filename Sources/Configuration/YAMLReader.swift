import CYAML

/// Reads a YAML document with libyaml into a tree. Hostile input costs a bounded amount of memory:
/// aliases, which multiply, are refused, and so are depths and sizes that no configuration has.
struct YAMLReader: ~Copyable {
    /// Bytes of a file.
    static let bytesMax = 8 * 1024 * 1024
    private static let depthMax = 32
    private static let nodesMax = 1_000_000

    private let path: String
    private var nodes = 0
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let bytes: UnsafeMutableBufferPointer<UInt8>

    /// Reads the one document in `text`; nil when it is empty.
    static func read(_ text: [UInt8], path: String) throws(ConfigurationError) -> YAMLNode? {
        guard text.count <= bytesMax else {
            throw ConfigurationError(path: path, line: 0, "the file is larger than 8 MiB")
        }
        var reader = try YAMLReader(text, path: path)
        return try reader.document()
    }

    private init(_ text: [UInt8], path: String) throws(ConfigurationError) {
        self.path = path
        parser = .allocate(capacity: 1)
        parser.initialize(to: yaml_parser_t())
        bytes = .allocate(capacity: max(1, text.count))
        _ = bytes.update(fromContentsOf: text)
        guard yaml_parser_initialize(parser) == 1 else {
            throw ConfigurationError(path: path, line: 0, "no memory for libyaml")
        }
        yaml_parser_set_input_string(parser, bytes.baseAddress, text.count)
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        bytes.deallocate()
    }

    /// What of an event is needed.
    private enum Event {
        case scalar(String, isPlain: Bool)
        case sequence
        case mapping
        case end
        case alias
        case other
        case streamEnd
    }

    private func next() throws(ConfigurationError) -> (event: Event, line: Int) {
        var raw = yaml_event_t()
        guard yaml_parser_parse(parser, &raw) == 1 else { throw syntaxError() }
        defer { yaml_event_delete(&raw) }
        let line = Int(raw.start_mark.line) + 1
        switch raw.type {
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            let text = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            guard let string = String(validating: text, as: UTF8.self) else {
                throw ConfigurationError(path: path, line: line, "the text is not UTF-8")
            }
            return (.scalar(string, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE), line)
        case YAML_SEQUENCE_START_EVENT: return (.sequence, line)
        case YAML_MAPPING_START_EVENT: return (.mapping, line)
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return (.end, line)
        case YAML_ALIAS_EVENT: return (.alias, line)
        case YAML_STREAM_END_EVENT: return (.streamEnd, line)
        default: return (.other, line)
        }
    }

    private func syntaxError() -> ConfigurationError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "it cannot be read"
        let line = Int(parser.pointee.problem_mark.line) + 1
        return ConfigurationError(path: path, line: line, "this is not YAML: \(problem)")
    }

    private mutating func document() throws(ConfigurationError) -> YAMLNode? {
        var root: YAMLNode?
        while true {
            let (event, line) = try next()
            switch event {
            case .streamEnd: return root
            case .other: continue
            default:
                guard root == nil else {
                    throw ConfigurationError(path: path, line: line, "a second document begins")
                }
                root = try node(event, line, depth: 0)
            }
        }
    }

    private mutating func node(
        _ event: Event,
        _ line: Int,
        depth: Int
    ) throws(ConfigurationError) -> YAMLNode {
        nodes += 1
        guard depth < Self.depthMax, nodes < Self.nodesMax else {
            throw ConfigurationError(path: path, line: line, "the file nests or lists too much")
        }
        switch event {
        case .scalar(let text, let isPlain):
            return YAMLNode(line: line, content: .scalar(text, isPlain: isPlain))
        case .sequence:
            var items: [YAMLNode] = []
            while true {
                let (event, line) = try next()
                if case .end = event { break }
                items.append(try node(event, line, depth: depth + 1))
            }
            return YAMLNode(line: line, content: .sequence(items))
        case .mapping: return try mapping(line, depth: depth)
        case .alias, .end, .other, .streamEnd:
            throw ConfigurationError(
                path: path,
                line: line,
                "aliases (*name) are not supported; write the value out"
            )
        }
    }

    private mutating func mapping(_ line: Int, depth: Int) throws(ConfigurationError) -> YAMLNode {
        var entries: [(key: String, line: Int, value: YAMLNode)] = []
        var keys: Set<String> = []
        while true {
            let (event, line) = try next()
            if case .end = event { break }
            guard case .scalar(let key, _) = event else {
                throw ConfigurationError(path: path, line: line, "a key has to be a word")
            }
            guard keys.insert(key).inserted else {
                throw ConfigurationError(path: path, line: line, "'\(key)' is there twice")
            }
            let (value, valueLine) = try next()
            entries.append((key, line, try node(value, valueLine, depth: depth + 1)))
        }
        return YAMLNode(line: line, content: .mapping(entries))
    }
}
