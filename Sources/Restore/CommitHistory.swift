package import BackupCatalog
package import Bytes
import Platform
import SegmentFormat

/// The commits of a line of descent, and what each one changed.
package struct CommitHistory: Sendable {
    /// One restorable state.
    package struct Entry: Sendable {
        /// The generation.
        package var generation: GenerationID
        /// The commit; of a snapshot the state that it begins with.
        package var txid: TXID
        /// When it was seen.
        package var time: Timestamp
        /// `commit`, `bridge`, or `snapshot` where a run of commits begins with one.
        package var kind: String
        /// Pages that it changed; of a snapshot all.
        package var pages: UInt32
        /// Pages of the database afterwards.
        package var databasePages: UInt32
        /// Bytes per page.
        package var pageSize: PageSize
        /// The digest of the state, if it is recorded.
        package var digest: DatabaseDigest?
        /// Tables, indexes and other parts of the file that it changed; nil when not asked for.
        package var touched: [Touched]?
    }

    /// Pages that a commit changed in one table, index, or other part of the file.
    package struct Touched: Sendable, Hashable {
        /// `table`, `index`, `freelist`, `header`, `pointer-map`, `unknown`.
        package var kind: String
        /// Its name.
        package var name: String
        /// The table that an index belongs to.
        package var table: String
        /// Pages that the commit changed in it.
        package var pages: Int
        /// Those of them that hold the rest of long rows.
        package var overflowPages: Int
    }

    /// Which commits are listed.
    package struct Filter: Sendable {
        /// Not before this time.
        package var since: Timestamp?
        /// Not after this time.
        package var until: Timestamp?
        /// Only those that touched this table or one of its indexes, or this index.
        package var table: String?
        /// Whether to find out what each commit touched.
        package var findsTables = false

        /// Every commit.
        package init() {}

        func admits(_ time: Timestamp) -> Bool {
            (since.map { time >= $0 } ?? true) && (until.map { time <= $0 } ?? true)
        }
    }

    private let lineage: Lineage
    private let catalog: Catalog
    private let filter: Filter

    /// The history of `lineage`: of its newest generation only, or of its ancestors too.
    package init(_ lineage: Lineage, catalog: Catalog, filter: Filter) {
        self.lineage = lineage
        self.catalog = catalog
        self.filter = filter
    }

    /// Lists entries in order, without what they touched.
    package func list(_ body: (Entry) throws -> Void) async throws {
        for member in lineage.members.reversed() {
            for run in member.timeline.runs { try await list(run, of: member, body) }
        }
    }

    private func list(
        _ run: Run,
        of member: Lineage.Member,
        _ body: (Entry) throws -> Void
    ) async throws {
        let generation = member.timeline.generation
        let limit = member.cut ?? TXID(.max)
        if !run.beginsWithParent, let base = run.snapshots.first, run.first <= limit,
            filter.admits(base.name.time)
        {
            let footer = try await SegmentFetcher(base, from: catalog.store).footer()
            try body(
                Entry(
                    generation: generation.id,
                    txid: run.first,
                    time: base.name.time,
                    kind: "snapshot",
                    pages: footer.pageCountAfter,
                    databasePages: footer.pageCountAfter,
                    pageSize: generation.record.pageSize,
                    digest: footer.digestAfter
                )
            )
        }
        for slice in run.slices where slice.txids.upperBound > run.first {
            guard slice.txids.lowerBound <= limit else { return }
            if let since = filter.since, slice.segment.name.time < since { continue }
            try await CommitScan(store: catalog.store).commits(of: slice.segment) { commit in
                let record = commit.record
                guard record.txid <= limit, record.txid <= slice.txids.upperBound else {
                    return false
                }
                guard record.txid > run.first, slice.txids.contains(record.txid),
                    filter.admits(record.seenAt)
                else { return true }
                try body(Self.entry(record, generation))
                return true
            }
        }
    }

    private static func entry(_ record: CommitRecord, _ generation: Generation) -> Entry {
        Entry(
            generation: generation.id,
            txid: record.txid,
            time: record.seenAt,
            kind: record.isBridge ? "bridge" : "commit",
            pages: record.entryCount,
            databasePages: record.pageCount,
            pageSize: generation.record.pageSize,
            digest: record.digest
        )
    }

    // MARK: - With tables

    /// Lists the commits after the first restorable state that the filter admits, with what each
    /// touched: the state before the first one is rebuilt in a scratch file, and every commit
    /// applied to it and proven.
    package func listTouched(
        with restorer: Restorer,
        _ body: @escaping (Entry) throws -> Void
    ) async throws {
        let planner = RestorePlanner(lineage)
        for window in lineage.windows {
            guard let first = try await firstCommit(in: window) else { continue }
            let start = max(window.lowerBound, first.previous)
            guard let commits = planner.commits(after: start, through: window.upperBound) else {
                continue
            }
            let plan = try planner.plan(for: start).extended(by: commits, to: window.upperBound)
            try await follow(plan, from: start, with: restorer, body)
        }
    }

    /// The first commit of a window that the filter admits.
    private func firstCommit(in window: ClosedRange<TXID>) async throws -> TXID? {
        guard let since = filter.since else { return window.lowerBound.next }
        var found: TXID?
        for member in lineage.members {
            for run in member.timeline.runs {
                for slice in run.slices where slice.segment.name.time >= since {
                    let txid = slice.txids.lowerBound
                    guard window.contains(txid), found.map({ txid < $0 }) ?? true else { continue }
                    found = txid
                }
            }
        }
        return found
    }

    private func follow(
        _ plan: RestorePlan,
        from start: TXID,
        with restorer: Restorer,
        _ body: @escaping (Entry) throws -> Void
    ) async throws {
        let size = plan.generation.record.pageSize
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size.bytes, alignment: 16)
        defer { buffer.deallocate() }
        var ownership: PageOwnership?
        func begin(_ pageCount: UInt32, _ cache: PageCache) throws {
            var fresh = PageOwnership(pageSize: size, buffer: buffer)
            try fresh.walk(pageCount: pageCount) { try cache.read(PageNumber($0), into: $1) }
            ownership = fresh
        }
        let generations = plan.steps
        _ = try await restorer.builder(plan).build(beside: restorer.output) { applier, cache in
            if applier.isState, applier.txid == start { try begin(applier.pageCount, cache) }
        } observe: { commit, pages, cache in
            guard commit.txid > start else {
                if commit.txid == start { try begin(commit.pageCount, cache) }
                return
            }
            let kept = pages.filter { !$0.change.isRemoval }.map(\.page.rawValue)
            let removed = pages.filter(\.change.isRemoval).map(\.page.rawValue)
            let touched = try ownership?.commit(
                kept,
                removed: removed,
                pageCount: commit.pageCount
            ) { try cache.read(PageNumber($0), into: $1) }
            guard filter.admits(commit.seenAt), matches(touched ?? []) else { return }
            let slice = generations.last { $0.commits.contains(commit.txid) }
            var entry = Self.entry(commit, plan.generation)
            entry.generation = slice?.generation ?? plan.generation.id
            entry.touched = touched?.map {
                Touched(
                    kind: $0.kind,
                    name: $0.name,
                    table: $0.table,
                    pages: $0.pages,
                    overflowPages: $0.overflowPages
                )
            }
            try body(entry)
        }
    }

    private func matches(_ touched: [PageOwnership.Touched]) -> Bool {
        guard let table = filter.table else { return true }
        // SQLite compares names without regard to case (sqlite.org/lang_keywords.html).
        let wanted = table.lowercased()
        return touched.contains {
            $0.name.lowercased() == wanted || $0.table.lowercased() == wanted
        }
    }
}

extension RestorePlan {
    /// The same way, and further.
    func extended(by commits: [PlannedSlice], to last: TXID) -> RestorePlan {
        RestorePlan(
            generation: generation,
            txid: last,
            time: nil,
            base: base,
            baseGeneration: baseGeneration,
            steps: steps + commits
        )
    }
}
