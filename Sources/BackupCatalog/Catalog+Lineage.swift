import Bytes
import ObjectStorage
import SegmentFormat

extension Catalog {
    /// The generation that a restore means when the user names none: the end of the lineage.
    ///
    /// Generations that nothing can be restored from yet are passed over. Of those left, one is
    /// nobody's parent: that one; a parent that went on beside another database's child counts,
    /// too. When several are left, the databases' hosts and paths decide: the latest one of a
    /// single database is meant, and anything else is ambiguous.
    /// - Throws: `nothingFound`, `noBase` when no generation has a base, `ambiguous`, `damaged`
    ///   when a generation's description is, and `StoreError`.
    package func newestGeneration() async throws -> Generation {
        try choose(among: try await ends())
    }

    /// The end of each database's lineage, where several databases share the store.
    ///
    /// - Throws: as `newestGeneration`, apart from `ambiguous`.
    package func newestGenerations() async throws -> [Generation] {
        let byOrigin = Dictionary(grouping: try await ends()) {
            [$0.record.host, $0.record.file.path]
        }
        return try byOrigin.values.map { try choose(among: $0) }.sorted { $0.id < $1.id }
    }

    /// The generations that a lineage ends with.
    private func ends() async throws -> [Generation] {
        let list = try await generations()
        guard !list.generations.isEmpty else {
            if let damaged = list.damaged.first { throw damaged.error }
            throw CatalogError(
                .nothingFound,
                object: layout.root,
                "there is no backup here; check the URL, or whether replication ever ran"
            )
        }
        var restorable: [Generation] = []
        for generation in list.generations where try await hasBase(generation) {
            restorable.append(generation)
        }
        guard !restorable.isEmpty else {
            throw CatalogError(
                .noBase,
                object: layout.root,
                "no generation has a complete snapshot: the first one was not stored to its end, "
                    + "or it was deleted; 'highwater verify' says what is there"
            )
        }
        // A damaged description may hide the newest generation.
        if let damaged = list.damaged.last(where: { $0.id > restorable[restorable.count - 1].id }) {
            throw CatalogError(
                .damaged,
                object: damaged.id.text,
                "the newest generation's description cannot be read (\(damaged.error));"
                    + " name an older one with -generation"
            )
        }
        let parents = Set(restorable.compactMap(\.record.parent?.generation))
        var leaves = restorable.filter { !parents.contains($0.id) }
        for parent in restorable where parents.contains(parent.id) {
            if try await wentOnBeside(parent, among: restorable) { leaves.append(parent) }
        }
        return leaves.isEmpty ? restorable : leaves
    }

    /// Whether a generation has commits after the one that a child goes on from, and the child is
    /// another database's: then two databases share the store, and neither is the end of the other.
    private func wentOnBeside(
        _ parent: Generation,
        among generations: [Generation]
    ) async throws -> Bool {
        let origin = [parent.record.host, parent.record.file.path]
        let branches = generations.filter {
            $0.record.parent?.generation == parent.id
                && [$0.record.host, $0.record.file.path] != origin
        }
        guard let first = branches.compactMap(\.record.parent?.txid).min() else { return false }
        return try await segments(of: parent.id).logs.contains { $0.name.maxTXID > first }
    }

    private func choose(among leaves: [Generation]) throws(CatalogError) -> Generation {
        let latest = leaves.max { ($0.record.created, $0.id) < ($1.record.created, $1.id) }
        guard let latest else {
            preconditionFailure("a lineage ends somewhere")
        }
        let origins = Set(leaves.map { [$0.record.host, $0.record.file.path] })
        guard origins.count == 1 else {
            let names = leaves.map {
                "\($0.id) (\($0.record.file.path) on \($0.record.host))"
            }
            throw CatalogError(
                .ambiguous,
                object: layout.root,
                "several databases were backed up here: \(names.joined(separator: ", "));"
                    + " choose one with -generation"
            )
        }
        return latest
    }

    /// Whether the generation has something that a restore can start from.
    package func hasBase(_ generation: Generation) async throws -> Bool {
        let folder = layout.folder(of: generation.id)
        let snapshots = folder + SegmentName.folder(level: 0xff) + "/"
        for object in try await store.list(prefix: snapshots) {
            let name = SegmentName(path: String(object.key.path.dropFirst(folder.count)))
            if name?.kind == .snapshot { return true }
        }
        guard let parent = generation.record.parent else { return false }
        let logs = folder + SegmentName.folder(level: 0) + "/"
        let next = try await store.list(prefix: logs + parent.txid.next.description + "-")
        return next.contains { object in
            SegmentName(path: String(object.key.path.dropFirst(folder.count)))?.kind.holdsCommits
                == true
        }
    }
}
