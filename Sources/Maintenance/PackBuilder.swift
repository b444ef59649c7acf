package import BackupCatalog
import Bytes
import ObjectStorage
import PageHashing
import SegmentFormat

/// Merges log segments into a pack and stores it, checked.
///
/// Nothing is deleted here: what the pack holds now is a duplicate in the listing, and retention
/// deletes it after a grace period. A builder that dies leaves nothing, or a whole pack.
package struct PackBuilder: Sendable {
    private let catalog: Catalog
    private let cache: BodyCache?

    /// A builder that takes bodies from `cache` where it has them.
    package init(catalog: Catalog, cache: BodyCache? = nil) {
        self.catalog = catalog
        self.cache = cache
    }

    /// Stores the pack, and reads it back.
    ///
    /// - Throws: `SegmentError` when a part is damaged or does not follow the one before,
    ///   `MaintenanceError.notConfirmed` when the store does not hold what was written.
    @discardableResult
    package func build(
        _ plan: PackPlan,
        of generation: Generation
    ) async throws -> StoredSegment {
        precondition(plan.parts.count > 1, "a pack is made of several segments")
        let (bytes, finished) = try await merge(plan)
        guard finished.name == plan.name, finished.header.generation == generation.id else {
            throw MaintenanceError(
                .notPossible,
                object: plan.parts[0].key.path,
                "the log segments are not those of generation \(generation.id)"
            )
        }
        let key = try catalog.layout.segment(finished.name, of: generation.id)
        do {
            try await catalog.store.put(key, bytes: bytes, ifAbsent: true)
        } catch {
            // Else somebody was faster, or our own answer was lost: the name tells its content.
            guard error.code == .preconditionFailed else { throw error }
        }
        let stored = catalog.segment(
            finished.name,
            of: generation.id,
            size: UInt64(bytes.count)
        )
        try await ObjectCheck(store: catalog.store).confirm(stored, finished)
        return stored
    }

    private func merge(_ plan: PackPlan) async throws -> ([UInt8], FinishedSegment) {
        var encoder: PackEncoder?
        var bytes: [UInt8] = []
        let writer = plan.name.writer
        for part in plan.parts {
            let body = try await body(of: part)
            try part.naming { () throws(SegmentError) in
                if encoder == nil {
                    let header = try SegmentLayout(segment: body).header
                    encoder = try PackEncoder(first: header, lastWriter: writer)
                }
                try encoder?.append(body, name: part.name)
            }
            bytes += encoder?.takeOutput() ?? []
        }
        guard let encoder else { preconditionFailure("a plan has parts") }
        let finished = try encoder.finish()
        return (bytes + encoder.takeOutput(), finished)
    }

    private func body(of part: StoredSegment) async throws -> [UInt8] {
        if let body = cache?.take(part.key), UInt64(body.count) == part.size { return body }
        return try await SegmentFetcher(part, from: catalog.store).bytes(in: 0..<part.size)
    }
}

/// Reads back what was stored.
struct ObjectCheck: Sendable {
    let store: any ObjectStore

    /// Checks that the object holds exactly the bytes that were written: its checksum, read anew.
    ///
    /// An equal object under the same key is as good: a checksum is of content, not of a file.
    func confirm(_ segment: StoredSegment, _ finished: FinishedSegment) async throws {
        let info = try await store.head(segment.key)
        guard let info else { throw failed(segment, "the store does not have it") }
        let fetcher = SegmentFetcher(segment.with(size: info.size), from: store)
        let layout = try await fetcher.layout()
        var stream = ChecksumStream()
        let covered = info.size - 32
        var start: UInt64 = 0
        while start < covered {
            let end = min(start + MaintenanceLimits.checkBytes, covered)
            stream.update(try await fetcher.bytes(in: start..<end))
            start = end
        }
        let (own, theirs) = (finished.footer, layout.footer)
        guard stream.finish() == theirs.checksum else {
            throw failed(segment, "its bytes are not what was written")
        }
        guard theirs.maxTXID == own.maxTXID, theirs.digestAfter == own.digestAfter,
            theirs.commitCount == own.commitCount, theirs.entryCount == own.entryCount,
            layout.header.link == finished.header.link
        else { throw failed(segment, "it holds something else than was written") }
        guard finished.header.kind == .pack, theirs.checksum != own.checksum else { return }
        // Another process made the same pack: its members must be the same.
        let members = try await fetcher.members(of: layout)
        guard members.last?.footer.checksum != nil, members.count > 0 else {
            throw failed(segment, "it has no members")
        }
    }

    private func failed(_ segment: StoredSegment, _ message: String) -> MaintenanceError {
        MaintenanceError(
            .notConfirmed,
            object: segment.key.path,
            "\(message); nothing is deleted, and the next maintenance tries again"
        )
    }
}
