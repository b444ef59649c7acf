/// A row of sqlite_schema: a table or index and its root page.
package struct SchemaRow: Hashable, Sendable {
    /// `table`, `index`, …
    package var kind: String
    /// Its name.
    package var name: String
    /// The table that it belongs to.
    package var table: String
    /// Its root page; zero for views and triggers.
    package var root: UInt32

    /// The row in a record (sqlite.org/fileformat.html §2.1); nil when it is none.
    init?(record: UnsafeRawBufferPointer) {
        var place = 0
        guard let headerSize = record.varint(&place, limit: record.count),
            headerSize <= UInt64(record.count)
        else { return nil }
        var types: [UInt64] = []
        while place < Int(headerSize), types.count < 4 {
            guard let type = record.varint(&place, limit: Int(headerSize)) else { return nil }
            types.append(type)
        }
        guard types.count == 4 else { return nil }
        var body = Int(headerSize)
        func text(_ type: UInt64) -> String? {
            guard type >= 13, type % 2 == 1, type < 1 << 20 else { return nil }
            let size = Int((type - 13) / 2)
            guard body + size <= record.count else { return nil }
            defer { body += size }
            return String(decoding: record[body..<body + size], as: UTF8.self)
        }
        guard let kind = text(types[0]), let name = text(types[1]), let table = text(types[2])
        else { return nil }
        guard let root = Self.integer(types[3], record, at: body) else { return nil }
        self.kind = kind
        self.name = name
        self.table = table
        self.root = root
    }

    init(kind: String, name: String, table: String, root: UInt32) {
        self.kind = kind
        self.name = name
        self.table = table
        self.root = root
    }

    private static func integer(
        _ type: UInt64,
        _ record: UnsafeRawBufferPointer,
        at body: Int
    ) -> UInt32? {
        let sizes: [UInt64: Int] = [0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0]
        guard let size = sizes[type], body + size <= record.count else { return nil }
        if type == 9 { return 1 }
        var value: UInt64 = 0
        for byte in record[body..<body + size] { value = value << 8 | UInt64(byte) }
        return UInt32(truncatingIfNeeded: value)
    }
}
