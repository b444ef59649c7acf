import Bytes

/// Which table or index each page belongs to, carried along from commit to commit.
///
/// At first every b-tree is walked. After that only pages that a commit changed are looked at: a
/// page that comes to a tree is named by a page of the tree that points to it, which changed too.
/// Holds 4 bytes for each page of the database.
struct PageOwnership {
    /// Reads a page as it is now.
    typealias Reader = (UInt32, UnsafeMutableRawBufferPointer) throws -> Void

    /// What a page is, apart from the tree that it belongs to.
    private enum Role: UInt32 {
        case tree = 0
        case overflow = 1
    }

    /// Owners that are no trees.
    private static let unknown: UInt32 = 0
    private static let free: UInt32 = 1
    private static let pointerMap: UInt32 = 2
    private static let firstTree: UInt32 = 3

    private var owners: [UInt32] = []
    private var trees: [SchemaRow] = []
    private var known: [SchemaRow: UInt32] = [:]
    private var roots: [UInt32: UInt32] = [:]
    private var cookie: UInt32 = 0
    private var usable = 0
    private let pageSize: PageSize
    private let buffer: UnsafeMutableRawBufferPointer

    /// An ownership of pages of that size; `buffer` is a page's memory, which the caller keeps.
    init(pageSize: PageSize, buffer: UnsafeMutableRawBufferPointer) {
        self.pageSize = pageSize
        self.buffer = buffer
    }

    /// Pages that a commit changed in one table, index, or other part of the file.
    struct Touched: Hashable, Sendable {
        var kind: String
        var name: String
        var table: String
        var pages = 0
        var overflowPages = 0
    }

    // MARK: - Walking

    /// Finds the owners of all pages.
    mutating func walk(pageCount: UInt32, _ read: Reader) throws {
        owners = Array(repeating: Self.unknown, count: Int(pageCount) + 1)
        try loadSchema(read)
        try walkFreelist(changed: nil, read)
        markPointerMap()
        for (root, owner) in roots { try descend([(root, owner)], read) }
    }

    /// Takes a commit in; says what it touched.
    mutating func commit(
        _ pages: [UInt32],
        removed: [UInt32],
        pageCount: UInt32,
        _ read: Reader
    ) throws -> [Touched] {
        let before = (pages + removed).map { ($0, owner(of: $0)) }
        resize(to: pageCount)
        let oldCookie = cookie
        if pages.count > max(64, Int(pageCount) / 4) {
            try walk(pageCount: pageCount, read)
        } else {
            try update(pages, read)
        }
        return summary(before, removed: Set(removed), schemaChanged: cookie != oldCookie)
    }

    private mutating func update(_ pages: [UInt32], _ read: Reader) throws {
        let changed = Set(pages)
        var queue: [(UInt32, UInt32?)] = []
        if pages.contains(where: { $0 == 1 || owner(of: $0) >> 1 == Self.firstTree }) {
            let old = roots
            try loadSchema(read)
            for (root, owner) in roots where old[root] != owner { queue.append((root, owner)) }
            try walkFreelist(changed: changed, read)
            markPointerMap()
        }
        for page in pages {
            let tag = owner(of: page)
            if tag >> 1 >= Self.firstTree, tag & 1 == Role.tree.rawValue {
                queue.append((page, nil))
            }
        }
        try descend(queue, read)
    }

    /// Gives pages to trees, and looks at whatever changed hands because of that. A page without an
    /// owner in `start` belongs to whom it belongs when its turn comes.
    private mutating func descend(_ start: [(UInt32, UInt32?)], _ read: Reader) throws {
        var queue = start
        var steps = 0
        while let (page, named) = queue.popLast() {
            steps += 1
            // Every step gives a page to a tree, or is one of the first; trees that share pages,
            // which only damage makes, end here.
            guard page > 0, Int(page) < owners.count, steps <= 4 * owners.count + start.count
            else { continue }
            let owner = named ?? owners[Int(page)] >> 1
            guard owner >= Self.firstTree else { continue }
            owners[Int(page)] = owner << 1 | Role.tree.rawValue
            try read(page, buffer)
            let content = UnsafeRawBufferPointer(buffer)
            guard let tree = BTreePage(content, isFirst: page == 1, usable: usable) else {
                continue
            }
            for child in tree.children where isOther(child, owner, .tree) {
                queue.append((child, owner))
                mark(child, owner, .tree)
            }
            for overflow in tree.overflows { try follow(overflow, owner, read) }
        }
    }

    private mutating func follow(_ first: UInt32, _ owner: UInt32, _ read: Reader) throws {
        var page = first
        while page > 0, isOther(page, owner, .overflow) {
            mark(page, owner, .overflow)
            try read(page, buffer)
            page = UnsafeRawBufferPointer(buffer).big32(at: 0)
        }
    }

    private func isOther(_ page: UInt32, _ owner: UInt32, _ role: Role) -> Bool {
        page > 0 && Int(page) < owners.count && owners[Int(page)] != owner << 1 | role.rawValue
    }

    private mutating func mark(_ page: UInt32, _ owner: UInt32, _ role: Role) {
        if page > 0, Int(page) < owners.count { owners[Int(page)] = owner << 1 | role.rawValue }
    }

    private func owner(of page: UInt32) -> UInt32 {
        Int(page) < owners.count ? owners[Int(page)] : Self.unknown
    }

    private mutating func resize(to pageCount: UInt32) {
        let count = Int(pageCount) + 1
        if owners.count > count { owners.removeLast(owners.count - count) }
        if owners.count < count {
            owners += repeatElement(Self.unknown, count: count - owners.count)
        }
    }

    // MARK: - Header, free pages, schema

    private mutating func walkFreelist(changed: Set<UInt32>?, _ read: Reader) throws {
        guard owners.count > 1 else { return }
        try read(1, buffer)
        var trunk = UnsafeRawBufferPointer(buffer).big32(at: 32)
        var steps = 0
        while trunk > 0, Int(trunk) < owners.count, steps < owners.count {
            steps += 1
            let isKnown = owners[Int(trunk)] == Self.free << 1
            // Behind an old trunk that did not change everything is as it was.
            if let changed, isKnown, !changed.contains(trunk) { return }
            mark(trunk, Self.free, .tree)
            try read(trunk, buffer)
            let content = UnsafeRawBufferPointer(buffer)
            let count = min(Int(content.big32(at: 4)), (usable - 8) / 4)
            for index in 0..<max(0, count) {
                mark(content.big32(at: 8 + 4 * index), Self.free, .tree)
            }
            trunk = content.big32(at: 0)
        }
    }

    private mutating func markPointerMap() {
        guard hasPointerMap else { return }
        let step = usable / 5 + 1
        for page in stride(from: 2, to: owners.count, by: step) {
            mark(UInt32(page), Self.pointerMap, .tree)
        }
    }

    private var hasPointerMap = false

    private mutating func loadSchema(_ read: Reader) throws {
        guard owners.count > 1 else { return }
        try read(1, buffer)
        let header = UnsafeRawBufferPointer(buffer)
        usable = pageSize.bytes - Int(header[20])
        cookie = header.big32(at: 40)
        hasPointerMap = header.big32(at: 52) != 0
        roots = [1: id(of: SchemaRow(kind: "table", name: "sqlite_schema", table: "", root: 1))]
        for row in try SchemaTree(usable: usable, pageCount: owners.count - 1).rows(read, buffer)
        where row.root > 0 {
            roots[row.root] = id(of: row)
        }
    }

    private mutating func id(of row: SchemaRow) -> UInt32 {
        if let id = known[row] { return id }
        let id = Self.firstTree + UInt32(trees.count)
        trees.append(row)
        known[row] = id
        return id
    }

    // MARK: - Words

    private func summary(
        _ before: [(UInt32, UInt32)],
        removed: Set<UInt32>,
        schemaChanged: Bool
    ) -> [Touched] {
        var found: [String: Touched] = [:]
        for (page, old) in before {
            let now = removed.contains(page) ? old : owner(of: page)
            // A page that changed hands belonged to both.
            var tags: Set<UInt32> = [now]
            if now >> 1 != old >> 1, old >> 1 >= Self.firstTree { tags.insert(old) }
            for tag in tags {
                var entry = name(tag >> 1, page: page, schemaChanged: schemaChanged)
                let key = entry.kind + "/" + entry.name
                entry = found[key] ?? entry
                entry.pages += 1
                if tag & 1 == Role.overflow.rawValue { entry.overflowPages += 1 }
                found[key] = entry
            }
        }
        return found.values.sorted { ($0.table, $0.kind, $0.name) < ($1.table, $1.kind, $1.name) }
    }

    private func name(_ owner: UInt32, page: UInt32, schemaChanged: Bool) -> Touched {
        if page == 1, !schemaChanged { return Touched(kind: "header", name: "header", table: "") }
        switch owner {
        case Self.unknown: return Touched(kind: "unknown", name: "unknown", table: "")
        case Self.free: return Touched(kind: "freelist", name: "freelist", table: "")
        case Self.pointerMap: return Touched(kind: "pointer-map", name: "pointer-map", table: "")
        default:
            let row = trees[Int(owner - Self.firstTree)]
            return Touched(kind: row.kind, name: row.name, table: row.table)
        }
    }
}

/// Reads the rows of sqlite_schema, whose b-tree begins on page 1.
struct SchemaTree {
    let usable: Int
    let pageCount: Int

    /// The longest record that is put together from overflow pages.
    private static let recordBytes = 64 << 10

    func rows(
        _ read: PageOwnership.Reader,
        _ buffer: UnsafeMutableRawBufferPointer
    ) throws -> [SchemaRow] {
        var rows: [SchemaRow] = []
        var open: [UInt32] = [1]
        var seen: Set<UInt32> = []
        while let page = open.popLast() {
            guard page > 0, Int(page) <= pageCount, seen.insert(page).inserted else { continue }
            try read(page, buffer)
            let content = UnsafeRawBufferPointer(buffer)
            guard let tree = BTreePage(content, isFirst: page == 1, usable: usable) else {
                continue
            }
            open += tree.children
            var records: [([UInt8], UInt32, Int)] = []
            for payload in tree.payloads {
                records.append(
                    (Array(content[payload.local]), payload.overflow, payload.size)
                )
            }
            for (local, overflow, size) in records {
                let record = try whole(local, overflow, size, read, buffer)
                if let row = record.withUnsafeBytes({ SchemaRow(record: $0) }) { rows.append(row) }
            }
        }
        return rows
    }

    private func whole(
        _ local: [UInt8],
        _ overflow: UInt32,
        _ size: Int,
        _ read: PageOwnership.Reader,
        _ buffer: UnsafeMutableRawBufferPointer
    ) throws -> [UInt8] {
        var record = local
        var page = overflow
        let limit = min(size, Self.recordBytes)
        while page > 0, Int(page) <= pageCount, record.count < limit {
            try read(page, buffer)
            let content = UnsafeRawBufferPointer(buffer)
            record += content[4..<usable].prefix(limit - record.count)
            page = content.big32(at: 0)
        }
        return record
    }
}
