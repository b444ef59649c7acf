package import Bytes
package import ObjectStorage
package import SegmentFormat

/// What a store holds: generations, their segments, and what can be restored from them.
///
/// Reads keys with LIST, and of segments only headers, footers and, where two writers have to be
/// told apart, block tables and meta blocks. Never writes.
package struct Catalog: Sendable {
    /// The store.
    package let store: any ObjectStore
    /// Where everything lies in it.
    package let layout: CatalogLayout

    /// The catalogue of what lies below `prefix`.
    package init(store: any ObjectStore, prefix: String = "") {
        self.store = store
        layout = CatalogLayout(prefix: prefix)
    }

    /// Every generation in the store.
    ///
    /// - Throws: `StoreError`. Damaged generations are reported in the result.
    package func generations() async throws -> GenerationList {
        var result = GenerationList()
        var after: String?
        // One key from each folder, so that a store with a million segments lists quickly.
        while let object = try await store.list(prefix: layout.root, after: after, limit: 1).first {
            let rest = object.key.path.dropFirst(layout.root.count)
            let name = String(rest.prefix { $0 != "/" })
            // All keys of the folder come before its name with '0', the character after '/'.
            after = layout.root + name + "0"
            guard let id = GenerationID(name), rest.contains("/") else {
                result.foreign.append(object)
                if !rest.contains("/") { after = object.key.path }
                continue
            }
            do {
                result.generations.append(try await generation(id))
            } catch let error as CatalogError {
                result.damaged.append((id, error))
            }
        }
        return result
    }

    /// The generation with that name.
    ///
    /// - Throws: `nothingFound` when the store has no such generation, `damaged`, `unsupported`,
    ///   and `StoreError`.
    package func generation(_ id: GenerationID) async throws -> Generation {
        let key = try layout.record(of: id)
        let limit = UInt64(GenerationRecord.maxEncodedSize)
        guard let bytes = try await store.bytes(of: key, in: 0..<limit + 1) else {
            let folder = layout.folder(of: id)
            if try await store.list(prefix: folder, after: nil, limit: 1).isEmpty {
                throw CatalogError(.nothingFound, object: id.text, "there is no such generation")
            }
            throw CatalogError(.damaged, object: key.path, "the generation has lost this object")
        }
        guard bytes.count <= GenerationRecord.maxEncodedSize else {
            throw CatalogError(.damaged, object: key.path, "the object is too long")
        }
        let record = try GenerationRecord(decoding: bytes, object: key.path)
        guard record.id == id else {
            throw CatalogError(.damaged, object: key.path, "it describes generation \(record.id)")
        }
        return Generation(record: record)
    }

    /// The segments of a generation, as LIST tells.
    package func segments(of id: GenerationID) async throws -> SegmentList {
        let folder = layout.folder(of: id)
        var list = SegmentList()
        for object in try await store.list(prefix: folder) {
            let path = String(object.key.path.dropFirst(folder.count))
            if path == CatalogLayout.recordName { continue }
            if let number = WriterClaim.number(path: path) {
                list.claims.append(
                    StoredClaim(number: number, key: object.key, modified: object.modified)
                )
                continue
            }
            guard let name = SegmentName(path: path) else {
                list.foreign.append(object)
                continue
            }
            let segment = StoredSegment(
                name: name,
                folder: folder,
                size: object.size,
                modified: object.modified
            )
            switch name.kind {
            case .log, .pack: list.logs.append(segment)
            case .level: list.levels.append(segment)
            case .snapshot: list.snapshots.append(segment)
            }
        }
        // Keys sort by level, first TXID, last TXID, time and writer already.
        list.levels.sort {
            ($0.name.minTXID, $0.name.maxTXID) < ($1.name.minTXID, $1.name.maxTXID)
        }
        list.snapshots.sort {
            ($0.name.maxTXID, $0.name.minTXID) < ($1.name.maxTXID, $1.name.minTXID)
        }
        return list
    }

    /// A segment that was just stored in a generation.
    package func segment(_ name: SegmentName, of id: GenerationID, size: UInt64) -> StoredSegment {
        StoredSegment(name: name, folder: layout.folder(of: id), size: size)
    }

    /// What can be restored from a generation.
    ///
    /// `writer` chooses between the histories of a fork: the one in which it wrote last.
    /// - Throws: `StoreError`; `nothingFound` never. Forks and holes are in the result.
    package func timeline(
        of generation: Generation,
        preferring writer: WriterTag? = nil
    ) async throws -> Timeline {
        let list = try await segments(of: generation.id)
        let resolver = try await ChainResolver(
            generation: generation,
            list: list,
            store: store,
            preferring: writer
        )
        return try await resolver.resolve()
    }
}
