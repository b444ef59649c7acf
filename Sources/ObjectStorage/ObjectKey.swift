/// The name of an object, relative to its store: parts separated by `/`.
///
/// Keys compare by their UTF-8 bytes, the order in which every store lists them. A key never
/// leads out of its store: no part is empty, `.` or `..`, and none holds control characters.
package struct ObjectKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The key's text.
    package let path: String

    /// The key in `path`, or nil when that is not a key.
    package init?(_ path: String) {
        let bytes = path.utf8
        guard !bytes.isEmpty, bytes.count <= Limits.keyBytes,
            bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }),
            // By bytes, as the kernel does it: a combining mark after a slash makes another
            // character of it, which hides the slash from Swift alone.
            bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy({
                !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8)
            })
        else { return nil }
        self.path = path
    }

    /// The key in `path`.
    /// - Throws: `invalid` when that is not a key.
    package init(checking path: String, for operation: StoreError.Operation) throws(StoreError) {
        guard let key = ObjectKey(path) else {
            throw StoreError(
                .invalid,
                operation,
                object: path,
                "the name is not a relative path of plain parts (at most \(Limits.keyBytes) bytes)"
            )
        }
        self = key
    }

    /// The last part.
    package var name: Substring {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        return path[(slash.map(path.utf8.index(after:)) ?? path.startIndex)...]
    }

    package var description: String { path }

    package static func == (a: ObjectKey, b: ObjectKey) -> Bool {
        a.path.utf8.elementsEqual(b.path.utf8)
    }

    package static func < (a: ObjectKey, b: ObjectKey) -> Bool {
        a.path.utf8.lexicographicallyPrecedes(b.path.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        for byte in path.utf8 { hasher.combine(byte) }
    }
}
