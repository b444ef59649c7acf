import Bytes
import SegmentFormat

/// A piece of the log as the chain sees it: a log segment, a pack, or, where a pack is not the
/// only one that tells of its commits, one member of it.
struct ChainNode: Sendable {
    /// Few nodes are members, and a node is kept small.
    private final class Member: Sendable {
        let member: PackMember
        let name: SegmentName

        init(_ member: PackMember) {
            self.member = member
            name = member.name
        }
    }

    /// The object.
    let segment: StoredSegment
    private let part: Member?

    /// The member of the pack, when the node is one.
    var member: PackMember? { part?.member }
    /// What its key says; of a member, what its key was.
    var name: SegmentName { part?.name ?? segment.name }

    init(_ segment: StoredSegment) {
        self.segment = segment
        part = nil
    }

    init(_ segment: StoredSegment, member: PackMember) {
        self.segment = segment
        part = Member(member)
    }
}

/// Log segments and packs, sorted out: what is there twice, because maintenance made a pack and
/// what it was made of is not deleted yet, is set apart.
///
/// By keys alone where nothing overlaps a pack; else the pack's index is read, in two requests.
struct ChainNodes {
    /// By first TXID, then last TXID, then time and writer.
    private(set) var nodes: [ChainNode] = []
    /// Objects all of whose commits are in a pack among the nodes, as the same log segments.
    private(set) var duplicates: [Duplicate] = []
    /// Packs that could not be read.
    private(set) var damaged: [(segment: StoredSegment, error: any Error)] = []
    /// The members of packs whose indexes had to be read.
    private(set) var members: [StoredSegment: [PackMember]] = [:]

    /// Sorts `logs`, which are in the order of their keys.
    init(_ logs: [StoredSegment], read: (StoredSegment) async throws -> [PackMember]) async throws {
        var cluster: [StoredSegment] = []
        var end = TXID.zero
        for segment in logs {
            if segment.name.minTXID > end {
                try await add(cluster, read)
                cluster = []
            }
            cluster.append(segment)
            end = max(end, segment.name.maxTXID)
        }
        try await add(cluster, read)
        nodes.sort { Self.isBefore($0.name, $1.name) }
    }

    private static func isBefore(_ a: SegmentName, _ b: SegmentName) -> Bool {
        let (left, right) = ((a.minTXID, a.maxTXID, a.time), (b.minTXID, b.maxTXID, b.time))
        return left == right ? a.writer.rawValue < b.writer.rawValue : left < right
    }

    /// Adds segments whose TXIDs overlap each other's, and nobody else's.
    private mutating func add(
        _ cluster: [StoredSegment],
        _ read: (StoredSegment) async throws -> [PackMember]
    ) async throws {
        let packs = cluster.filter { $0.name.kind == .pack }
        guard cluster.count > 1, !packs.isEmpty else {
            nodes += cluster.map { ChainNode($0) }
            return
        }
        var held: [SegmentName: StoredSegment] = [:]
        var kept: [StoredSegment] = []
        // The longest first: it holds what the others do.
        for pack in packs.sorted(by: { Self.span($0) > Self.span($1) }) {
            do {
                let members = try await read(pack)
                let others = Set(members.map { held[$0.name] })
                if others.count == 1, let other = others.first ?? nil {
                    duplicates.append(Duplicate(segment: pack, pack: other))
                    continue
                }
                self.members[pack] = members
                for member in members where held[member.name] == nil { held[member.name] = pack }
                kept.append(pack)
            } catch let error as SegmentError {
                damaged.append((pack, error))
            } catch let error as CatalogError where error.code == .damaged {
                damaged.append((pack, error))
            }
        }
        var others: [StoredSegment] = []
        for segment in cluster where segment.name.kind != .pack {
            if let pack = held[segment.name] {
                duplicates.append(Duplicate(segment: segment, pack: pack))
            } else {
                others.append(segment)
            }
        }
        nodes += others.map { ChainNode($0) }
        if others.isEmpty, kept.count == 1 {
            nodes += kept.map { ChainNode($0) }
            return
        }
        var added: Set<SegmentName> = []
        for pack in kept {
            for member in members[pack] ?? [] where added.insert(member.name).inserted {
                nodes.append(ChainNode(pack, member: member))
            }
        }
    }

    private static func span(_ pack: StoredSegment) -> UInt64 {
        pack.name.maxTXID.rawValue - pack.name.minTXID.rawValue
    }
}
