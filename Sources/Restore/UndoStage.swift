package import BackupCatalog
package import Bytes
import PageHashing
import Platform
import SegmentFormat
import Zstandard

/// The commits that lead from a target to a later state, which a file holds.
package struct UndoPlan: Sendable {
    /// Log segments, each with the commits after the target that are taken from it, in order.
    package let slices: [PlannedSlice]
    /// The digest of the later state.
    package let digest: DatabaseDigest

    /// The commits after `target` up to the end of the line; nil when they are not all there, or
    /// when the end's digest is not recorded.
    package init?(after target: TXID, on lineage: Lineage, catalog: Catalog) async throws {
        let tip = lineage.tip
        guard let last = tip.current?.last, last > target,
            let commits = RestorePlanner(lineage).commits(after: target, through: last)
        else { return nil }
        slices = commits
        guard let end = slices.last?.segment else { return nil }
        let footer = try await SegmentFetcher(end, from: catalog.store).footer()
        guard end.name.maxTXID == last, let digest = footer.digestAfter else { return nil }
        self.digest = digest
    }
}

/// Undoes commits: a page as it was is the page as it is, XOR all deltas since. Pages that were
/// stored whole meanwhile cannot be undone; they are fetched.
struct UndoStage: Sendable {
    let plan: UndoPlan
    let file: OutputFile
    let restorer: Restorer

    /// What is known of a page's way back.
    private enum Way {
        /// Undone deltas lead to what the file holds.
        case open
        /// The content before some commit was kept, and deltas lead from there.
        case found
        /// The page did not exist.
        case absent
        /// It has to be fetched.
        case lost
    }

    /// The pages' ways back and the sums of their deltas. One task uses it at a time.
    private struct Sums {
        let pageBytes: Int
        var ways: [UInt32: Way] = [:]
        /// The sum of each page's deltas.
        var deltas: [UInt32: [UInt8]] = [:]
        /// The hash before the first of the undone commits.
        var before: [UInt32: UInt64] = [:]
        var pageCountBefore: UInt32?

        mutating func add(_ entry: PageEntry, _ content: UnsafeRawBufferPointer?) {
            let page = entry.page.rawValue
            let isFirst = ways[page] == nil
            if isFirst, let hash = entry.preHash { before[page] = hash }
            switch ways[page] ?? .open {
            case .found, .absent, .lost: return
            case .open: break
            }
            ways[page] = .open
            if entry.isNew {
                ways[page] = isFirst ? .absent : .lost
            } else if case .removed = entry.change {
                guard let content else {
                    ways[page] = .lost
                    return
                }
                xor(page, content)
                ways[page] = .found
            } else if entry.change == .xor, let content, entry.preHash != nil || !isFirst {
                xor(page, content)
            } else {
                ways[page] = .lost
            }
        }

        private mutating func xor(_ page: UInt32, _ content: UnsafeRawBufferPointer) {
            deltas[page, default: [UInt8](repeating: 0, count: pageBytes)]
                .withUnsafeMutableBytes { PageXOR.apply(content, to: $0) }
        }
    }

    /// Brings the file back to the target's state; nil when that cannot be done this way.
    func run(target: RestorePlan) async throws -> PatchRestorer.Patched? {
        guard let state = try await targetState(target) else { return nil }
        guard let sums = try await sum() else { return nil }
        var wanted = PageSet(pageCount: state.pageCount)
        var undone = 0
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: file.pageSize.bytes,
            alignment: 16
        )
        defer { buffer.deallocate() }
        for (page, way) in sums.ways where page <= state.pageCount {
            if way == .absent { return nil }
            guard way != .lost, try undo(page, way, sums, buffer) else {
                wanted.insert(page)
                continue
            }
            undone += 1
        }
        if wanted.count > 0 {
            var builder = restorer.builder(target)
            builder.wanted = wanted
            _ = try await builder.build(into: file)
        }
        return PatchRestorer.Patched(
            pageCount: state.pageCount,
            digest: state.digest,
            time: state.time,
            changedPages: undone + wanted.count,
            undonePages: undone
        )
    }

    private func undo(
        _ page: UInt32,
        _ way: Way,
        _ sums: Sums,
        _ buffer: UnsafeMutableRawBufferPointer
    ) throws -> Bool {
        guard let delta = sums.deltas[page], let hash = sums.before[page] else { return false }
        let number = PageNumber(page)
        if way == .open {
            try file.read(number, into: buffer)
        } else {
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
        }
        delta.withUnsafeBytes { PageXOR.apply($0, to: buffer) }
        guard PageHasher.hash(UnsafeRawBufferPointer(buffer), number: number).low == hash else {
            return false
        }
        try file.write(number, UnsafeRawBufferPointer(buffer))
        return true
    }

    /// Adds up all deltas; nil when they do not fit into the memory.
    private func sum() async throws -> Sums? {
        var sums = Sums(pageBytes: file.pageSize.bytes)
        let (size, limit) = (file.pageSize, restorer.memoryBytes / 2)
        let reader = RangeReader(restorer.catalog.store, progress: restorer.progress)
        restorer.progress.begin(
            .fetching,
            total: plan.slices.reduce(0) { $0 + $1.segment.size }
        )
        var isFull = false
        try await OrderedTasks.run(plan.slices, width: restorer.width, on: restorer.executor) {
            slice in
            (
                slice,
                try await OpenSegment(
                    slice.segment,
                    generation: slice.generation,
                    pageSize: size,
                    reader: reader
                )
            )
        } consume: { slice, open in
            try await add(open, slice.commits, to: &sums)
            isFull = sums.deltas.count * size.bytes > limit
            return !isFull
        }
        return isFull ? nil : sums
    }

    private func add(
        _ open: OpenSegment,
        _ commits: ClosedRange<TXID>,
        to sums: inout Sums
    ) async throws {
        let records = try await ExpectedIndex.records(open, through: commits.upperBound)
        var blocks = open.layout.blocks.filter { $0.kind == .content }[...]
        var (content, offset) = ([UInt8](), 0)
        var decompressor = Decompressor()
        var checker = LogRecordChecker(header: open.layout.header)
        for record in records {
            let txid = checker.txid
            if txid > commits.upperBound { return }
            try open.segment.naming { () throws(SegmentError) in try checker.check(record) }
            guard case .page(let entry) = record else { continue }
            guard entry.change.hasContent else {
                if commits.contains(txid) { sums.add(entry, nil) }
                continue
            }
            if offset == content.count {
                guard let block = blocks.popFirst() else {
                    throw open.damaged("it has less content than its records take")
                }
                let stored = try await open.bytes(of: block)
                content = try open.segment.naming { () throws(SegmentError) in
                    try LogBlocks.decodeContent(stored, block, using: &decompressor)
                }
                offset = 0
            }
            let range = offset..<offset + sums.pageBytes
            offset = range.upperBound
            guard commits.contains(txid) else { continue }
            content.withUnsafeBytes { sums.add(entry, UnsafeRawBufferPointer(rebasing: $0[range])) }
        }
    }

    /// The target's digest, page count and time; nil when its digest is not recorded.
    private func targetState(
        _ target: RestorePlan
    ) async throws -> (digest: DatabaseDigest, pageCount: UInt32, time: Timestamp)? {
        let store = restorer.catalog.store
        guard let slice = target.steps.last else {
            let footer = try await SegmentFetcher(target.base, from: store).footer()
            return footer.digestAfter.map { ($0, footer.pageCountAfter, footer.lastTime) }
        }
        guard !slice.isLevel else {
            let footer = try await SegmentFetcher(slice.segment, from: store).footer()
            return footer.digestAfter.map { ($0, footer.pageCountAfter, footer.lastTime) }
        }
        let commit = try await CommitScan(store: store).commit(target.txid, in: slice.segment)
        return commit.digest.map { ($0, commit.pageCount, commit.seenAt) }
    }
}
