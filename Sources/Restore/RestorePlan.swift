package import BackupCatalog
package import Bytes
import SegmentFormat

/// A part of a plan: which commits come from which object, a log segment, a pack or a level.
package struct PlannedSlice: Sendable {
    /// The object.
    package let segment: StoredSegment
    /// The generation whose object it is.
    package let generation: GenerationID
    /// The commits that are taken from it, whatever else it holds. A level brings the state before
    /// the first of them to the one after the last.
    package let commits: ClosedRange<TXID>

    /// Whether it is a level: the pages that changed, each once.
    var isLevel: Bool { segment.name.kind == .level }
}

/// What has to be fetched for a state: a snapshot, then levels, packs and log segments in order,
/// disjoint by commit: each commit is taken from one object only. Holes are found while planning,
/// before a byte is fetched.
package struct RestorePlan: Sendable {
    /// The generation that the state belongs to.
    package let generation: Generation
    /// The state that will be restored.
    package let txid: TXID
    /// When the state's last commit was seen, where that is known without reading objects.
    package let time: Timestamp?
    /// The snapshot that it begins with.
    package let base: StoredSegment
    /// The generation of that snapshot.
    package let baseGeneration: GenerationID
    /// What is applied to it, in order.
    package let steps: [PlannedSlice]
    /// What the user should know about the target.
    package var notes: [String] = []

    /// The first commit that is applied; beyond `txid` when none is.
    var firstCommit: TXID { base.name.minTXID.next }

    /// Keys of all objects.
    package var objects: [StoredSegment] { [base] + steps.map(\.segment) }

    /// Bytes of the objects.
    package var byteCount: UInt64 { objects.reduce(0) { $0 + $1.size } }

    /// Requests that fetch them.
    package var requestCount: Int {
        objects.reduce(0) { sum, object in
            if object.size <= Limits.wholeObjectBytes { return sum + 1 }
            let parts = (object.size + Limits.requestBytes - 1) / Limits.requestBytes
            return sum + 3 + Int(parts)
        }
    }

    /// The generations that objects come from, oldest first.
    package var generations: [GenerationID] {
        var list = [baseGeneration]
        for slice in steps where slice.generation != list[list.count - 1] {
            list.append(slice.generation)
        }
        return list
    }
}
