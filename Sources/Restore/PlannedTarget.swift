package import BackupCatalog
package import Bytes
package import ObjectStorage
import Platform

/// A target that was found in a store: what plans for it are made from.
package struct PlannedTarget: Sendable {
    /// The store's catalogue.
    package let catalog: Catalog
    /// The generation whose line is followed.
    package let generation: Generation
    /// Whose history counts after a fork.
    package let writer: WriterTag?
    /// The commit whose state is meant.
    package let txid: TXID
    /// How it is rebuilt.
    package let plan: RestorePlan

    /// Finds `target` along the line of `generation`, and plans.
    package static func find(
        _ target: RestoreTarget,
        of generation: Generation,
        writer: WriterTag?,
        in catalog: Catalog
    ) async throws -> PlannedTarget {
        let lineage = try await Lineage.load(generation, from: catalog, preferring: writer) {
            TargetResolver.isEnough($0, for: target)
        }
        let resolver = TargetResolver(lineage, catalog: catalog, now: .now)
        let resolved = try await resolver.resolve(target)
        var plan = try RestorePlanner(lineage).plan(for: resolved.txid)
        plan.notes = resolved.notes
        return PlannedTarget(
            catalog: catalog,
            generation: generation,
            writer: writer,
            txid: resolved.txid,
            plan: plan
        )
    }

    /// A plan for the same state from what the store holds now, without some objects.
    package func again(without excluded: Set<ObjectKey>) async throws -> RestorePlan {
        let lineage = try await Lineage.load(generation, from: catalog, preferring: writer)
        var planner = RestorePlanner(lineage)
        planner.excluded = excluded
        do {
            return try planner.plan(for: txid)
        } catch let error as RestoreError where error.code == .integrity {
            guard let last = planner.lastState(atOrBelow: txid) else { throw error }
            throw RestoreError(
                .integrity,
                "the last state before it that can still be restored is -txid \(last)"
            )
        }
    }
}
