/// A decoder of bytes that come from a disk or a network.
///
/// Whatever the bytes are, it returns: with a value, or with its module's own error (which typed
/// throws prove). What it must never do is trap, which ends the process, and that is what a fuzzer
/// sees; so the promises beyond that, such as decode(encode(x)) == x, are traps, too.
struct FuzzTarget: Sendable, CustomStringConvertible {
    /// The name; of the folder of seeds as well.
    let name: String
    /// Decodes; whether the bytes were accepted.
    let decode: @Sendable ([UInt8]) -> Bool

    init(_ name: String, _ decode: @escaping @Sendable ([UInt8]) -> Bool) {
        self.name = name
        self.decode = decode
    }

    /// All of them.
    static let all = segments + logs + catalogue + texts + hosts + operators

    /// The one of that name.
    static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }

    /// Decodes, whatever comes of it.
    func run(_ bytes: [UInt8]) { _ = decode(bytes) }

    var description: String { name }
}

/// What a decoder promises beyond an answer.
func promise(_ holds: Bool, _ message: @autoclosure () -> String) {
    if !holds { fatalError(message()) }
}
