package import Bytes
package import SegmentFormat

/// Where a generation ends: all that a writer needs to go on.
package struct Tip: Sendable {
    /// The generation.
    package let generation: Generation
    /// The newest snapshot of the gap-free chain; nil when the generation goes on from its parent.
    package let base: StoredSegment?
    /// Whether the chain's base is in the store. Before that nothing is durable.
    package let isBaseConfirmed: Bool
    /// The last commit of the gap-free chain.
    package let lastTXID: TXID
    /// The footer of the chain's last log segment, or of the base when there is none.
    package let footer: SegmentFooter
    /// What the next log segment's link must be; nil when it is the first one after the base.
    package let link: SegmentChecksum?
    /// The first segment beyond a hole, if there is one: it is lost.
    package let orphan: StoredSegment?
    /// Whether objects were there that could not be read. If that was a matter of the moment, the
    /// log reaches the last commit on a way that is not known now, and `link` would not continue
    /// it: whoever goes on does so in a child generation.
    package let isUncertain: Bool

    /// The database's page size.
    package var pageSize: PageSize { generation.record.pageSize }
    /// The place in the WAL after the last commit, when it is known.
    package var position: WALPosition? { footer.position }
    /// The digest of the last state, when it is known.
    package var digest: DatabaseDigest? { footer.digestAfter }
    /// The page count of the last state.
    package var pageCount: UInt32 { footer.pageCountAfter }
}

extension Catalog {
    /// Where a generation ends; nil when it holds no segment that could be the end.
    ///
    /// A generation whose base never arrived has a tip too, with `isBaseConfirmed` false: the
    /// chain that begins with its first log segment.
    /// - Throws: `forked` when two histories go on from one commit.
    package func tip(of generation: Generation) async throws -> Tip? {
        let timeline = try await timeline(of: generation)
        if let fork = timeline.forks.last {
            throw CatalogError(.forked, object: generation.id.text, fork.message)
        }
        guard let run = timeline.current else { return try await unbasedTip(timeline) }
        // The chain's last segment may be older than its newest base.
        let log = run.logs.last
        guard let last = log ?? run.snapshots.last else { return nil }
        let fetcher = SegmentFetcher(last, from: store)
        let footer = try await fetcher.footer()
        return Tip(
            generation: generation,
            base: run.snapshots.last,
            isBaseConfirmed: true,
            lastTXID: run.last,
            footer: footer,
            link: log == nil ? nil : try await link(to: last, footer),
            orphan: timeline.firstOrphanBeyondEnd,
            isUncertain: !timeline.damaged.isEmpty
        )
    }

    /// What the log segment after `segment` has to be linked to.
    private func link(
        to segment: StoredSegment,
        _ footer: SegmentFooter
    ) async throws -> SegmentChecksum? {
        guard segment.name.kind == .pack else { return footer.checksum }
        let members = try await SegmentFetcher(segment, from: store).members()
        return members.last?.footer.checksum
    }

    private func unbasedTip(_ timeline: Timeline) async throws -> Tip? {
        guard let first = timeline.orphans.first else { return nil }
        var graph = try await SegmentGraph(timeline.list.logs, store: store, preferring: nil)
        let starts = graph.beginning(at: first.name.minTXID)
        guard let best = graph.best(of: starts) else { return nil }
        let last = graph.nodes[graph.end[best]]
        guard let footer = try await graph.footer(of: graph.end[best]) else { return nil }
        return Tip(
            generation: timeline.generation,
            base: nil,
            isBaseConfirmed: false,
            lastTXID: last.name.maxTXID,
            footer: footer,
            link: try await graph.checksum(of: graph.end[best]),
            orphan: graph.nodes.last.flatMap {
                $0.name.minTXID > last.name.maxTXID ? $0.segment : nil
            },
            isUncertain: !graph.damaged.isEmpty
        )
    }
}
