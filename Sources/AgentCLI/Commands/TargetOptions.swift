import ArgumentParser
import BackupCatalog
import Bytes
import ObjectStorage
import Platform
import Restore

/// Which state is meant: the options that restore, rewind and others share.
struct TargetOptions: ParsableArguments {
    @Option(name: .both("txid"), help: "The state after this commit: 16 hexadecimal digits.")
    var txid: String?

    @Option(name: .both("before-txid"), help: "The state just before this commit.")
    var beforeTXID: String?

    @Option(
        name: .both("timestamp"),
        help: "The state at this time: RFC 3339 with a zone, or how long ago, as in 5m or '1h ago'."
    )
    var timestamp: String?

    @Option(
        name: .both("writer"),
        help: "After a fork, follow the history in which this writer tag wrote last."
    )
    var writer: String?

    func target(now: Timestamp) throws -> RestoreTarget {
        guard [txid, beforeTXID, timestamp].filter({ $0 != nil }).count <= 1 else {
            throw ValidationError("Give only one of -txid, -before-txid and -timestamp.")
        }
        if let txid { return .txid(try TXIDArgument.parse(txid)) }
        if let beforeTXID { return .before(try TXIDArgument.parse(beforeTXID)) }
        guard let timestamp else { return .latest }
        return .timestamp(try TimeArgument.parse(timestamp, now: now))
    }

    func writerTag() throws -> WriterTag? {
        guard let writer else { return nil }
        guard let tag = WriterTag(hex: writer) else {
            throw ValidationError("A writer tag is 16 hexadecimal digits, not '\(writer)'.")
        }
        return tag
    }

    func validate() throws {
        _ = try target(now: .now)
        _ = try writerTag()
    }
}

/// A target that was found in a store: what plans for it are made from.
struct PlannedTarget: Sendable {
    var catalog: Catalog
    var generation: Generation
    var writer: WriterTag?
    var txid: TXID
    var plan: RestorePlan

    /// Finds `target` along the line of `generation`, and plans.
    static func find(
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
    func again(without excluded: Set<ObjectKey>) async throws -> RestorePlan {
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
