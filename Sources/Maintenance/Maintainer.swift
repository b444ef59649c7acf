package import BackupCatalog
package import Bytes
import ObjectStorage
import SegmentFormat

/// Keeps a store small and quick to restore from, without an agent or beside one.
///
/// Every step leaves the store as good as before: whoever dies in the middle of one, at whatever
/// request, loses nothing, and the next maintenance goes on.
package struct Maintainer: Sendable {
    /// The store.
    package let catalog: Catalog
    /// What to keep.
    package let rules: RetentionRules
    private let writer: WriterTag
    private let host: String
    private let clock: @Sendable () -> Timestamp

    /// Maintenance by `rules`; `writer` is the process's tag, `clock` this machine's.
    package init(
        catalog: Catalog,
        rules: RetentionRules,
        writer: WriterTag,
        host: String,
        clock: @escaping @Sendable () -> Timestamp
    ) {
        self.catalog = catalog
        self.rules = rules
        self.writer = writer
        self.host = host
        self.clock = clock
    }

    // MARK: - Deleting

    /// What may be deleted now, by a fresh listing.
    ///
    /// - Throws: `MaintenanceError.clockDiffers`, `StoreError`.
    package func plan() async throws -> RetentionPlan {
        let lineage = try await catalog.lineage()
        let now = try StoreTime.now(of: catalog.store, listing: lineage, local: clock())
        return try await plan(lineage, now: now)
    }

    private func plan(_ lineage: LineageGraph, now: Timestamp) async throws -> RetentionPlan {
        let layout = catalog.layout
        let open = RetentionPlan(lineage, layout: layout, rules: rules, now: now)
        var closed: Set<GenerationID> = []
        for id in open.closures {
            guard let last = lineage[id]?.list.claims.last else { continue }
            if try await catalog.claim(last)?.closes == true { closed.insert(id) }
        }
        guard !closed.isEmpty else { return open }
        return RetentionPlan(lineage, layout: layout, rules: rules, now: now, closed: closed)
    }

    /// Deletes what a fresh plan says, batch after batch, and closes what it says.
    package func carryOut(_ plan: RetentionPlan) async throws {
        for id in plan.closures { try await close(id) }
        for batch in plan.batches {
            try await catalog.store.delete(batch.compactMap { ObjectKey($0.key) })
        }
        try await removeStaleUploads()
    }

    /// Removes the parts of our uploads that were begun more than a day ago and never ended. Stores
    /// that do not offer it, or allow it to others only, have rules of their own for that.
    private func removeStaleUploads() async throws {
        let now = clock().milliseconds + (catalog.store.clockOffset ?? 0)
        do {
            _ = try await catalog.store.removeStaleUploads(
                prefix: catalog.layout.root,
                before: Timestamp(milliseconds: now - Milliseconds.day)
            )
        } catch {
            guard [.unsupported, .accessDenied, .invalid, .damaged].contains(error.code) else {
                throw error
            }
        }
    }

    /// Stores the claim after which nobody goes on writing the generation; nothing when somebody
    /// else claimed it meanwhile.
    private func close(_ id: GenerationID) async throws {
        let list = try await catalog.segments(of: id)
        let number = (list.claims.last?.number ?? 0) + 1
        let claim = WriterClaim(
            writer: writer,
            txid: list.all.map(\.name.maxTXID).max() ?? .zero,
            time: clock(),
            host: host,
            closes: true
        )
        do {
            let key = try catalog.layout.claim(number, of: id)
            try await catalog.store.put(key, bytes: claim.encode(), ifAbsent: true)
        } catch {
            guard error.code == .preconditionFailed else { throw error }
        }
    }

    // MARK: - Merging

    /// Merges what is due in one generation; `cache` has bodies that need not be fetched.
    @discardableResult
    package func pack(
        _ timeline: Timeline,
        now: Timestamp,
        cache: BodyCache? = nil
    ) async throws -> [StoredSegment] {
        let builder = PackBuilder(catalog: catalog, cache: cache)
        var packs: [StoredSegment] = []
        for plan in PackPlan.plans(for: timeline, now: now) {
            packs.append(try await builder.build(plan, of: timeline.generation))
        }
        return packs
    }

    /// Merges what is due in every generation of which anything is needed.
    @discardableResult
    package func packAll() async throws -> [StoredSegment] {
        try await packAll(try await catalog.lineage())
    }

    /// Merges what is due by a listing.
    @discardableResult
    package func packAll(_ lineage: LineageGraph) async throws -> [StoredSegment] {
        let now = try StoreTime.now(of: catalog.store, listing: lineage, local: clock())
        let needs = RetentionNeeds(lineage, rules: rules, now: now).needs
        var packs: [StoredSegment] = []
        for id in lineage.ids where needs[id] != nil {
            guard let timeline = lineage[id] else { continue }
            packs += try await pack(timeline, now: now)
        }
        return packs
    }

    /// Builds the levels that are due and worth their bytes, from what the store has.
    ///
    /// Fetches the log of each window, and what it needs of the snapshot before: an agent that
    /// keeps `ChangedPages` does better.
    @discardableResult
    package func levelAll(_ policy: LevelPolicy = LevelPolicy()) async throws -> [StoredSegment] {
        let lineage = try await catalog.lineage()
        let now = try StoreTime.now(of: catalog.store, listing: lineage, local: clock())
        let needs = RetentionNeeds(lineage, rules: rules, now: now).needs
        var levels: [StoredSegment] = []
        for id in lineage.ids where needs[id] != nil {
            guard var timeline = lineage[id] else { continue }
            for plan in LevelPlan.plans(for: timeline, now: now, policy: policy) {
                let builder = StoredLevelBuilder(
                    catalog: catalog,
                    timeline: timeline,
                    writer: writer
                )
                let built = try await builder.build(
                    level: plan.level,
                    after: plan.start,
                    through: plan.end,
                    atMost: plan.skippedBytes / 2
                )
                guard let built else { continue }
                // Higher levels are read from the lower ones that were just built.
                timeline.add(level: built)
                levels.append(built)
            }
        }
        return levels
    }

    /// Everything that is due: closing and deleting, then packs of what is left.
    package func run() async throws {
        try await carryOut(try await plan())
        try await packAll()
    }
}
