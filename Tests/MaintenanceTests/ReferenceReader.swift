import BackupCatalog
import Bytes
import ObjectStorage
import PageHashing
import SegmentFormat
import Testing

/// Restores states from a store by the catalogue's plans, with other code than the product's.
struct ReferenceReader {
    let catalog: Catalog
    let lineage: LineageGraph

    init(_ catalog: Catalog) async throws {
        self.catalog = catalog
        lineage = try await catalog.lineage()
    }

    struct State {
        var pages: [[UInt8]] = []
        var txid = TXID.zero

        var digest: DatabaseDigest {
            pages.enumerated().reduce(.zero) { sum, page in
                sum
                    &+ page.element.withUnsafeBytes {
                        PageHasher.hash($0, number: PageNumber(UInt32(page.offset + 1)))
                    }
            }
        }
    }

    enum Missing: Error { case state(GenerationID, TXID, String) }

    /// The state at `txid`, from the generation or those that it goes on from.
    func state(at txid: TXID, of id: GenerationID) async throws -> State {
        guard let timeline = lineage[id], let run = timeline.run(holding: txid),
            let path = run.path(to: txid)
        else { throw Missing.state(id, txid, "no run holds it") }
        var state = State()
        if let snapshot = path.snapshot {
            try await load(snapshot, into: &state)
        } else {
            guard let parent = lineage.parent(of: id) else {
                throw Missing.state(id, txid, "its parent is gone")
            }
            state = try await self.state(at: parent.txid, of: parent.generation)
        }
        for step in path.steps {
            switch step {
            case .level(let level): try await apply(level, to: &state)
            case .log(let slice): try await apply(slice, to: &state) { _ in }
            }
        }
        guard state.txid == txid else { throw Missing.state(id, txid, "it ends at \(state.txid)") }
        return state
    }

    /// Walks from the run's state at `first` over all later ones by the log alone.
    func walk(
        from first: TXID,
        of id: GenerationID,
        _ body: (State) -> Void
    ) async throws {
        guard let run = lineage[id]?.run(holding: first) else {
            throw Missing.state(id, first, "no run holds it")
        }
        var state = try await self.state(at: first, of: id)
        body(state)
        for slice in run.slices where slice.txids.upperBound > first {
            try await apply(slice, to: &state, body)
        }
    }

    private func read(_ segment: StoredSegment) async throws -> ([UInt8], SegmentLayout) {
        let bytes = try await catalog.store.get(segment.key)
        return (bytes, try SegmentVerifier.verify(bytes, name: segment.name))
    }

    private func blocks(_ kind: BlockKind, _ bytes: [UInt8], _ layout: SegmentLayout) -> [(
        BlockEntry, [UInt8]
    )] {
        layout.blocks.filter { $0.kind == kind }.map {
            ($0, Array(bytes[Int($0.range.lowerBound)..<Int($0.range.upperBound)]))
        }
    }

    private func content(_ bytes: [UInt8], _ layout: SegmentLayout) throws -> [[UInt8]] {
        let size = layout.header.pageSize.bytes
        return try blocks(.content, bytes, layout).flatMap { block, stored in
            let raw = try LogBlocks.decodeContent(stored, block)
            return stride(from: 0, to: raw.count, by: size).map { Array(raw[$0..<$0 + size]) }
        }
    }

    private func load(_ snapshot: StoredSegment, into state: inout State) async throws {
        let (bytes, layout) = try await read(snapshot)
        state.pages = try content(bytes, layout)
        state.txid = layout.footer.maxTXID
    }

    private func apply(_ level: StoredSegment, to state: inout State) async throws {
        let (bytes, layout) = try await read(level)
        var content = try content(bytes, layout)[...]
        while state.pages.count < Int(layout.footer.pageCountAfter) { state.pages.append([]) }
        for (block, stored) in blocks(.meta, bytes, layout) {
            for case .page(let entry) in try LogBlocks.decodeMeta(stored, block)
            where entry.change == .whole {
                state.pages[Int(entry.page.rawValue) - 1] = content.popFirst() ?? []
            }
        }
        state.pages.removeLast(state.pages.count - Int(layout.footer.pageCountAfter))
        state.txid = layout.footer.maxTXID
        #expect(state.digest == layout.footer.digestAfter, "after \(level.name)")
    }

    private func apply(
        _ slice: LogSlice,
        to state: inout State,
        _ body: (State) -> Void
    ) async throws {
        let (bytes, layout) = try await read(slice.segment)
        var content = try content(bytes, layout)[...]
        var txid = layout.header.minTXID
        var pages: [(PageEntry, [UInt8]?)] = []
        for (block, stored) in blocks(.meta, bytes, layout) {
            for record in try LogBlocks.decodeMeta(stored, block) {
                switch record {
                case .page(let entry):
                    pages.append((entry, entry.change.hasContent ? content.popFirst() : nil))
                case .commit(let commit):
                    if txid > state.txid, slice.txids.contains(txid) {
                        #expect(txid == state.txid.next)
                        apply(commit, pages, to: &state)
                        body(state)
                    }
                    pages = []
                    txid = txid.next
                }
            }
        }
    }

    private func apply(
        _ commit: CommitRecord,
        _ pages: [(PageEntry, [UInt8]?)],
        to state: inout State
    ) {
        let size = SimulatedAgent.pageSize.bytes
        let count = Int(commit.pageCount)
        while state.pages.count < count {
            state.pages.append([UInt8](repeating: 0, count: size))
        }
        for (entry, content) in pages where !entry.change.isRemoval {
            let index = Int(entry.page.rawValue) - 1
            let bytes = content ?? []
            state.pages[index] =
                entry.change == .whole ? bytes : zip(state.pages[index], bytes).map { $0 ^ $1 }
        }
        state.pages.removeLast(state.pages.count - count)
        state.txid = commit.txid
        if let digest = commit.digest { #expect(state.digest == digest, "at \(commit.txid)") }
    }
}
