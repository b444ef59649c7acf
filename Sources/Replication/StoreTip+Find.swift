import BackupCatalog
import Bytes
package import ObjectStorage
import SegmentFormat

extension StoreTip {
    /// Where the newest generation that `owner` may continue ends; nil when there is none, or when
    /// it cannot be continued. What is wrong with it is logged, never passed over.
    package static func find(
        in store: any ObjectStore,
        owner: String,
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
        guard let newest = newestFirst.first else { return nil }
        guard let ours = newestFirst.first(where: { $0.record.owner?.description == owner }) else {
            log(
                .warning,
                "the store holds a backup made by another agent or of another file",
                [("generation", "\(newest.id)"), ("host", newest.record.host)]
            )
            return nil
        }
        let found: Tip?
        do {
            found = try await catalog.tip(of: ours)
        } catch let error as CatalogError {
            log(
                .error,
                "the generation cannot be continued",
                [("generation", "\(ours.id)"), ("error", "\(error)")]
            )
            return nil
        }
        guard let found, found.isBaseConfirmed else {
            log(.warning, "the generation has no base", [("generation", "\(ours.id)")])
            return nil
        }
        return StoreTip(
            generation: ours.id,
            resume: ResumePoint(
                txid: found.lastTXID,
                time: found.footer.lastTime,
                position: found.position,
                digest: found.digest,
                pageCount: found.pageCount,
                pageSize: found.pageSize,
                link: found.link
            )
        )
    }
}
