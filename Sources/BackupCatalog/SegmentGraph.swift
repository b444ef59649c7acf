import Bytes
import ObjectStorage
import SegmentFormat

/// The log segments and packs of a generation and which of them go on from which.
///
/// Where LIST leaves no doubt (one segment ends at a TXID, one begins at the next, the same writer
/// tag on both) the names are believed; a restore reads every header anyway. Elsewhere the link in
/// the header decides. A pack's tag is its last member's, so what the same process wrote after it
/// needs no request.
struct SegmentGraph {
    /// By first TXID, then last TXID, then time and writer.
    let nodes: [ChainNode]
    /// Objects whose commits a pack among the nodes holds, as the same log segments.
    let duplicates: [Duplicate]
    /// Packs that could not be read.
    let damagedPacks: [(segment: StoredSegment, error: any Error)]
    /// For each segment the one that goes on from it towards the greatest TXID.
    private(set) var following: [Int?]
    /// Where the way along `following` ends.
    private(set) var end: [Int]
    /// The other segments that go on from a segment.
    private(set) var others: [Int: [Int]] = [:]
    /// Segments that could not be read.
    private(set) var damaged: [Int: any Error] = [:]

    private let store: any ObjectStore
    private let preferred: WriterTag?
    private var isPreferred: [Bool]
    private let lastTXIDs: [TXID]
    private var headers: [Int: SegmentHeader] = [:]
    private var footers: [Int: SegmentFooter] = [:]
    private var members: [StoredSegment: [PackMember]]

    init(
        _ logs: [StoredSegment],
        store: any ObjectStore,
        preferring writer: WriterTag?
    ) async throws {
        let sorted = try await ChainNodes(logs) { pack in
            try await SegmentFetcher(pack, from: store).members()
        }
        nodes = sorted.nodes
        duplicates = sorted.duplicates
        damagedPacks = sorted.damaged
        members = sorted.members
        self.store = store
        preferred = writer
        following = Array(repeating: nil, count: nodes.count)
        end = Array(nodes.indices)
        isPreferred = nodes.map { $0.name.writer == writer }
        lastTXIDs = nodes.map(\.name.maxTXID).sorted()
        try await connect()
    }

    /// Finds for every segment what goes on from it.
    private mutating func connect() async throws {
        // What goes on from a segment begins later, so it has been looked at before.
        for index in nodes.indices.reversed() {
            let candidates = beginning(at: nodes[index].name.maxTXID.next)
            guard !candidates.isEmpty else { continue }
            var linked: [Int] = []
            for candidate in candidates {
                if try await goesOn(candidate, from: index, among: candidates.count) {
                    linked.append(candidate)
                }
            }
            guard let best = best(of: linked) else { continue }
            following[index] = best
            end[index] = end[best]
            isPreferred[index] = isPreferred[index] || isPreferred[best]
            if linked.count > 1 { others[index] = linked.filter { $0 != best } }
        }
    }

    /// The segments that begin with `txid`.
    func beginning(at txid: TXID) -> Range<Int> {
        let start = nodes.partitioningIndex { $0.name.minTXID >= txid }
        let stop = nodes.partitioningIndex { $0.name.minTXID > txid }
        return start..<stop
    }

    /// The one of `candidates` that leads furthest; a preferred writer's before all others.
    func best(of candidates: some Sequence<Int>) -> Int? {
        var best: Int?
        for candidate in candidates {
            guard let current = best else {
                best = candidate
                continue
            }
            if isPreferred[candidate] != isPreferred[current] {
                if isPreferred[candidate] { best = candidate }
            } else if lastTXID(from: candidate) > lastTXID(from: current) {
                best = candidate
            }
        }
        return best
    }

    /// The last TXID on the way from a segment.
    func lastTXID(from index: Int) -> TXID { nodes[end[index]].name.maxTXID }

    /// Whether the user has chosen the way from this segment.
    func isChosen(_ index: Int) -> Bool { preferred != nil && isPreferred[index] }

    /// The segments on the way from `index`, itself first.
    func way(from index: Int) -> [Int] {
        var way = [index]
        var current = index
        while let next = following[current] {
            way.append(next)
            current = next
        }
        return way
    }

    /// Everything that goes on from `index`, itself included, on whatever way.
    func tree(from index: Int) -> [Int] {
        var found: [Int] = []
        var open = [index]
        while let current = open.popLast() {
            found.append(current)
            if let next = following[current] { open.append(next) }
            open += others[current] ?? []
        }
        return found
    }

    /// The header; nil when the object is damaged, which is remembered.
    mutating func header(of index: Int) async throws -> SegmentHeader? {
        if let header = nodes[index].member?.header ?? headers[index] { return header }
        let fetcher = SegmentFetcher(nodes[index].segment, from: store)
        let header = try await unlessDamaged(index) { try await fetcher.header() }
        headers[index] = header
        return header
    }

    /// The footer; nil when the object is damaged, which is remembered.
    mutating func footer(of index: Int) async throws -> SegmentFooter? {
        if let footer = nodes[index].member?.footer ?? footers[index] { return footer }
        let fetcher = SegmentFetcher(nodes[index].segment, from: store)
        let footer = try await unlessDamaged(index) { try await fetcher.footer() }
        footers[index] = footer
        return footer
    }

    /// The digest of the state at `txid`, which segment `index` holds; nil when nobody knows it.
    mutating func digest(at txid: TXID, in index: Int) async throws -> DatabaseDigest? {
        if nodes[index].name.maxTXID == txid { return try await footer(of: index)?.digestAfter }
        let (scan, segment) = (CommitScan(store: store), nodes[index].segment)
        return try await unlessDamaged(index) { try await scan.commit(txid, in: segment) }?.digest
    }

    private mutating func goesOn(
        _ candidate: Int,
        from index: Int,
        among count: Int
    ) async throws -> Bool {
        let txid = nodes[index].name.maxTXID
        let endingHere =
            lastTXIDs.partitioningIndex { $0 > txid } - lastTXIDs.partitioningIndex { $0 >= txid }
        if count == 1, endingHere == 1, nodes[candidate].name.writer == nodes[index].name.writer {
            return true
        }
        // A member's link says what it follows in its own pack, without a request.
        guard let link = try await header(of: candidate)?.link else { return false }
        return try await link == checksum(of: index)
    }

    /// What the segment after this one is linked to: its checksum, or its last member's.
    mutating func checksum(of index: Int) async throws -> SegmentChecksum? {
        let node = nodes[index]
        if node.member != nil || node.name.kind != .pack {
            return try await footer(of: index)?.checksum
        }
        if let known = members[node.segment] { return known.last?.footer.checksum }
        let fetcher = SegmentFetcher(node.segment, from: store)
        let found = try await unlessDamaged(index) { try await fetcher.members() }
        members[node.segment] = found
        return found?.last?.footer.checksum
    }

    private mutating func unlessDamaged<T>(
        _ index: Int,
        _ body: () async throws -> T
    ) async throws -> T? {
        do {
            return try await body()
        } catch let error as SegmentError {
            damaged[index] = error
        } catch let error as CatalogError where error.code == .damaged {
            damaged[index] = error
        }
        return nil
    }
}

extension RandomAccessCollection where Index == Int {
    /// The first index whose element satisfies `isBehind`, which holds from some index on.
    func partitioningIndex(where isBehind: (Element) -> Bool) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
