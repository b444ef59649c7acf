package import Bytes
package import ObjectStorage
package import SegmentFormat

/// A generation that the store holds.
package struct Generation: Hashable, Sendable {
    /// What its `generation.json` says.
    package let record: GenerationRecord

    /// The generation that `record` describes.
    package init(record: GenerationRecord) { self.record = record }

    /// Its name.
    package var id: GenerationID { record.id }
}

/// The generations in a store.
package struct GenerationList: Sendable {
    /// In the order of their names.
    package var generations: [Generation] = []
    /// Folders of generations whose `generation.json` is missing or damaged.
    package var damaged: [(id: GenerationID, error: any Error)] = []
    /// Objects that are not ours, one for each folder. They are never touched.
    package var foreign: [ObjectInfo] = []
}

/// A segment that the store holds, as LIST tells.
package struct StoredSegment: Hashable, Sendable {
    /// What its key says.
    package let name: SegmentName
    /// Its key.
    package let key: ObjectKey
    /// Its length in bytes.
    package let size: UInt64

    /// A segment.
    package init(name: SegmentName, key: ObjectKey, size: UInt64) {
        self.name = name
        self.key = key
        self.size = size
    }
}

/// The segments of a generation, as LIST tells.
package struct SegmentList: Sendable {
    /// Log segments by first TXID, then last TXID, then writer.
    package var logs: [StoredSegment] = []
    /// Snapshots by the TXID whose state they serve.
    package var snapshots: [StoredSegment] = []
    /// Levels and packs, which this version does not read.
    package var unsupported: [StoredSegment] = []
    /// Objects that are not ours. They are never touched.
    package var foreign: [ObjectInfo] = []

    /// The length of all segments in bytes.
    package var byteCount: UInt64 {
        (logs + snapshots + unsupported).reduce(0) { $0 &+ $1.size }
    }

    /// Whether there is no segment.
    package var isEmpty: Bool { logs.isEmpty && snapshots.isEmpty && unsupported.isEmpty }
}
