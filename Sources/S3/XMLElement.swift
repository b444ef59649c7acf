import CExpat

/// An element of a small XML document.
package final class XMLElement {
    /// The name without its namespace prefix.
    package let name: String
    /// The text directly inside, in one piece.
    package internal(set) var text = ""
    /// The elements directly inside, in order.
    package internal(set) var children: [XMLElement] = []

    init(name: String) { self.name = name }

    /// The first element of that name directly inside.
    package subscript(name: String) -> XMLElement? { children.first { $0.name == name } }

    /// All elements of that name directly inside.
    package func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

    /// The text of the first element of that name directly inside; nil when there is none.
    package func text(_ name: String) -> String? { self[name]?.text }
}

/// Why bytes are not an answer that we read.
package struct XMLProblem: Error, Sendable, CustomStringConvertible {
    /// What is wrong, and where.
    package let description: String
}

extension XMLElement {
    /// The root of a document, with limits on length, depth and count. Document types and
    /// entities of its own are refused: no store sends them, and they can grow without end.
    package static func parse(_ bytes: [UInt8]) throws(XMLProblem) -> XMLElement {
        guard bytes.count <= Limits.xmlBytes else {
            throw XMLProblem(description: "longer than \(Limits.xmlBytes) bytes")
        }
        guard let parser = XML_ParserCreate(nil) else { fatalError("no memory for an XML parser") }
        defer { XML_ParserFree(parser) }
        let builder = TreeBuilder(parser)
        let context = Unmanaged.passUnretained(builder).toOpaque()
        XML_SetUserData(parser, context)
        XML_SetElementHandler(
            parser,
            { context, name, _ in TreeBuilder.of(context).begin(String(cString: name!)) },
            { context, _ in TreeBuilder.of(context).end() }
        )
        XML_SetCharacterDataHandler(parser) { TreeBuilder.of($0).append($1, count: Int($2)) }
        XML_SetStartDoctypeDeclHandler(parser) { context, _, _, _, _ in
            TreeBuilder.of(context).stop("it declares a document type")
        }
        let status = bytes.withUnsafeBytes { raw in
            XML_Parse(parser, raw.bindMemory(to: CChar.self).baseAddress, Int32(raw.count), 1)
        }
        let line = XML_GetCurrentLineNumber(parser)
        if let problem = builder.problem {
            throw XMLProblem(description: "\(problem) (line \(line))")
        }
        guard status == XML_STATUS_OK, let root = builder.root else {
            let text = XML_ErrorString(XML_GetErrorCode(parser)).map { String(cString: $0) } ?? "?"
            throw XMLProblem(description: "not well-formed XML: \(text) (line \(line))")
        }
        return root
    }
}

/// Builds the tree while expat reads.
private final class TreeBuilder {
    private let parser: XML_Parser
    private var open: [XMLElement] = []
    private var elements = 0
    private(set) var root: XMLElement?
    private(set) var problem: String?

    init(_ parser: XML_Parser) { self.parser = parser }

    /// expat hands back the pointer of `parse`, where the builder lives.
    static func of(_ context: UnsafeMutableRawPointer?) -> TreeBuilder {
        Unmanaged<TreeBuilder>.fromOpaque(context!).takeUnretainedValue()
    }

    func stop(_ reason: String) {
        guard problem == nil else { return }
        problem = reason
        XML_StopParser(parser, 0)
    }

    func begin(_ qualified: String) {
        elements += 1
        guard elements <= Limits.xmlElements else { return stop("too many elements") }
        guard open.count < Limits.xmlDepth else { return stop("elements nest too deep") }
        let local = qualified.utf8.lastIndex(of: UInt8(ascii: ":")).map {
            String(qualified[qualified.utf8.index(after: $0)...])
        }
        let element = XMLElement(name: local ?? qualified)
        if let parent = open.last { parent.children.append(element) } else { root = element }
        open.append(element)
    }

    func end() { _ = open.popLast() }

    func append(_ characters: UnsafePointer<CChar>?, count: Int) {
        guard let element = open.last, problem == nil else { return }
        let raw = UnsafeRawBufferPointer(start: characters, count: count)
        guard element.text.utf8.count + count <= Limits.xmlTextBytes else {
            return stop("an element's text is too long")
        }
        element.text += String(decoding: raw, as: UTF8.self)
    }
}
