package import BackupCatalog
package import Bytes
package import ObjectStorage
import SegmentFormat

/// Where a generation ends that a history can go on from.
package struct StoreTip: Sendable {
    /// The generation.
    package let generation: Generation
    /// Whether it was made for this very database file: then it is continued, else a child begins.
    package let isOwn: Bool
    /// The place to go on from.
    package var resume: ResumePoint
    /// The generation in the store whose name comes last.
    package let newest: GenerationID

    /// The newest generation that can be gone on from: one of `owner`'s if there is one. Nil when
    /// there is none. What is wrong with others is logged, never passed over.
    package static func find(
        in store: any ObjectStore,
        owner: Hash128,
        log: ReplicationLog
    ) async throws -> StoreTip? {
        let catalog = Catalog(store: store)
        let list = try await catalog.generations()
        for (id, error) in list.damaged {
            log(
                .error,
                "a generation is damaged",
                [("generation", "\(id)"), ("error", "\(error)")]
            )
        }
        let newestFirst = list.generations.sorted { $0.id > $1.id }
        let own = newestFirst.filter { $0.record.owner == owner }
        let others = newestFirst.filter { $0.record.owner != owner }
        if own.isEmpty, let newest = newestFirst.first {
            log(
                .info,
                "the store holds a backup of another file or machine",
                [("generation", "\(newest.id)"), ("host", newest.record.host)]
            )
        }
        var isNewestUsable = true
        for generation in own + others {
            let end = try await end(of: generation, in: catalog, log: log)
            if let resume = end.resume {
                // Behind a newer generation that cannot be gone on from, this one would not be the
                // newest any more: a child will be.
                let isOwn =
                    generation.record.owner == owner && isNewestUsable && !end.isUncertain
                    && !wasGoneOnFrom(generation, in: list.generations)
                return StoreTip(
                    generation: generation,
                    isOwn: isOwn,
                    resume: resume,
                    newest: newestFirst[0].id
                )
            }
            if end.isBroken { isNewestUsable = false }
        }
        return nil
    }

    /// Whether a generation of the same place goes on from this one: another file was the database
    /// there meanwhile. What is added to a parent is no end of the lineage, so that no restore
    /// would find it: a child will be.
    private static func wasGoneOnFrom(_ parent: Generation, in list: [Generation]) -> Bool {
        list.contains {
            $0.record.parent?.generation == parent.id && $0.record.host == parent.record.host
                && $0.record.file.path == parent.record.file.path
        }
    }

    /// Whether maintenance has closed the generation: it is about to be deleted, and nobody goes on
    /// from it.
    static func isClosed(
        _ generation: Generation,
        in catalog: Catalog
    ) async throws -> Bool {
        guard let last = try await catalog.claims(of: generation.id).last else { return false }
        return try await catalog.claim(last)?.closes == true
    }

    private static func end(
        of generation: Generation,
        in catalog: Catalog,
        log: ReplicationLog
    ) async throws -> (resume: ResumePoint?, isBroken: Bool, isUncertain: Bool) {
        let found: Tip?
        do {
            if try await isClosed(generation, in: catalog) { return (nil, false, false) }
            found = try await catalog.tip(of: generation)
        } catch let error as CatalogError {
            log(
                .error,
                "a generation cannot be continued",
                [("generation", "\(generation.id)"), ("error", "\(error)")]
            )
            return (nil, true, false)
        }
        guard let found, found.isBaseConfirmed else {
            log(
                .info,
                "a generation has no base and is passed over",
                [("generation", "\(generation.id)")]
            )
            return (nil, false, false)
        }
        if found.isUncertain {
            log(
                .warning,
                "segments of the backup cannot be read: the history goes on in a child generation",
                [("generation", "\(generation.id)"), ("remedy", "highwater verify says which")]
            )
        }
        let resume = ResumePoint(
            txid: found.lastTXID,
            time: found.footer.lastTime,
            position: found.position,
            digest: found.digest,
            pageCount: found.pageCount,
            pageSize: found.pageSize,
            link: found.link
        )
        return (resume, false, found.isUncertain)
    }
}
