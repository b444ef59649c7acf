import Bytes
package import ObjectStorage
package import SegmentFormat

/// Reads parts of one segment from its store and checks them against the segment's name.
package struct SegmentFetcher: Sendable {
    /// The segment.
    package let segment: StoredSegment
    private let store: any ObjectStore

    /// A fetcher of `segment`.
    package init(_ segment: StoredSegment, from store: any ObjectStore) {
        self.segment = segment
        self.store = store
    }

    /// Exactly the bytes in `range`.
    ///
    /// - Throws: `CatalogError.damaged` when the object is gone or has become shorter since it was
    ///   listed, and `StoreError`.
    package func bytes(in range: Range<UInt64>) async throws -> [UInt8] {
        guard let bytes = try await store.bytes(of: segment.key, in: range) else {
            throw damaged("the object was listed, but the store does not have it any more")
        }
        guard UInt64(bytes.count) == UInt64(range.count) else {
            throw damaged("the object ends early: byte \(range.upperBound) is beyond its end")
        }
        return bytes
    }

    /// The segment's header.
    package func header() async throws -> SegmentHeader {
        try checkSize()
        return try decodeHeader(try await bytes(in: 0..<UInt64(SegmentHeader.encodedSize)))
    }

    /// The segment's footer.
    package func footer() async throws -> SegmentFooter {
        try checkSize()
        let start = segment.size - UInt64(SegmentFooter.encodedSize)
        return try decodeFooter(try await bytes(in: start..<segment.size), at: start)
    }

    /// Header, footer and block table. `whole` is the object, if it has been fetched.
    package func layout(of whole: [UInt8]? = nil) async throws -> SegmentLayout {
        try checkSize()
        let start = segment.size - UInt64(SegmentFooter.encodedSize)
        let header: SegmentHeader
        let footer: SegmentFooter
        if let whole {
            header = try decodeHeader(Array(whole.prefix(SegmentHeader.encodedSize)))
            footer = try decodeFooter(Array(whole.suffix(SegmentFooter.encodedSize)), at: start)
        } else {
            header = try await self.header()
            footer = try await self.footer()
        }
        let size = segment.size
        let range = try segment.naming { () throws(SegmentError) in
            try SegmentLayout.tableRange(header: header, footer: footer, fileSize: size)
        }
        let table: [UInt8]
        if let whole {
            table = Array(whole[Int(range.lowerBound)..<Int(range.upperBound)])
        } else {
            table = try await bytes(in: range)
        }
        return try segment.naming { () throws(SegmentError) in
            try SegmentLayout(header: header, footer: footer, table: table, fileSize: size)
        }
    }

    /// A pack's members: what its MEMBERS blocks say.
    package func members(of layout: SegmentLayout) async throws -> [PackMember] {
        let range = PackIndex.range(of: layout)
        let bytes = try await bytes(in: range)
        return try segment.naming { () throws(SegmentError) in
            try PackIndex(layout: layout, bytes: bytes).members
        }
    }

    /// A pack's members, in two requests for one of ordinary size: its header, and its end.
    package func members() async throws -> [PackMember] {
        try checkSize()
        let header = try await header()
        let length = min(segment.size, Self.endBytes)
        let end = try await bytes(in: segment.size - length..<segment.size)
        let footer = try decodeFooter(
            Array(end.suffix(SegmentFooter.encodedSize)),
            at: segment.size - UInt64(SegmentFooter.encodedSize)
        )
        let table = try segment.naming { () throws(SegmentError) in
            try SegmentLayout.tableRange(header: header, footer: footer, fileSize: segment.size)
        }
        let start = segment.size - length
        func part(_ range: Range<UInt64>) async throws -> [UInt8] {
            guard range.lowerBound >= start else { return try await bytes(in: range) }
            return Array(end[Int(range.lowerBound - start)..<Int(range.upperBound - start)])
        }
        let tableBytes = try await part(table)
        let layout = try segment.naming { () throws(SegmentError) in
            try SegmentLayout(
                header: header,
                footer: footer,
                table: tableBytes,
                fileSize: segment.size
            )
        }
        let index = try await part(PackIndex.range(of: layout))
        return try segment.naming { () throws(SegmentError) in
            try PackIndex(layout: layout, bytes: index).members
        }
    }

    /// How much of an object's end is fetched at once, in the hope that its index is in it.
    private static let endBytes: UInt64 = 256 << 10

    private func checkSize() throws(CatalogError) {
        guard segment.size >= UInt64(SegmentHeader.encodedSize + SegmentFooter.encodedSize) else {
            throw damaged("the object is cut off: it has \(segment.size) bytes")
        }
    }

    private func decodeHeader(_ bytes: [UInt8]) throws -> SegmentHeader {
        let header = try segment.naming { () throws(SegmentError) in
            try SegmentHeader(decoding: bytes)
        }
        let name = segment.name
        guard header.kind == name.kind, header.level == name.level,
            header.minTXID == name.minTXID, header.writer == name.writer
        else { throw damaged("the object's header does not fit its name") }
        return header
    }

    private func decodeFooter(_ bytes: [UInt8], at offset: UInt64) throws -> SegmentFooter {
        let footer = try segment.naming { () throws(SegmentError) in
            try SegmentFooter(decoding: bytes, offset: offset)
        }
        guard footer.maxTXID == segment.name.maxTXID, footer.lastTime == segment.name.time else {
            throw damaged("the object's footer does not fit its name")
        }
        return footer
    }

    private func damaged(_ message: String) -> CatalogError {
        CatalogError(.damaged, object: segment.key.path, message)
    }
}

extension StoredSegment {
    /// Runs `body` and names this segment in its error.
    package func naming<T>(
        _ body: () throws(SegmentError) -> T
    ) throws(SegmentError) -> T {
        do {
            return try body()
        } catch {
            throw error.about(key.path)
        }
    }
}

extension ObjectStore {
    /// The object's bytes in `range`; nil only when the store said that there is no such object.
    func bytes(of key: ObjectKey, in range: Range<UInt64>) async throws(StoreError) -> [UInt8]? {
        do {
            return try await get(key, range: range)
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }
}
