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
    /// What its key begins with: one text for all segments of a listing, of which there may be
    /// millions.
    private let folder: String
    /// Its length in bytes.
    package let size: UInt64
    /// When it was stored, by the store's clock, if the store says so.
    package let modified: Timestamp?

    /// A segment in its generation's folder.
    package init(
        name: SegmentName,
        folder: String,
        size: UInt64,
        modified: Timestamp? = nil
    ) {
        self.name = name
        self.folder = folder
        self.size = size
        self.modified = modified
    }

    /// Its key, put together anew each time.
    package var key: ObjectKey {
        guard let key = ObjectKey(folder + name.path) else {
            preconditionFailure("a segment's folder and name make a key")
        }
        return key
    }

    /// The same object, of another length.
    package func with(size: UInt64) -> StoredSegment {
        StoredSegment(name: name, folder: folder, size: size, modified: modified)
    }
}

/// The segments of a generation, as LIST tells.
package struct SegmentList: Sendable {
    /// Log segments and packs, by first TXID, then last TXID, then time.
    package var logs: [StoredSegment] = []
    /// Levels, by first TXID, then last TXID.
    package var levels: [StoredSegment] = []
    /// Snapshots by the TXID whose state they serve.
    package var snapshots: [StoredSegment] = []
    /// The claims of those who wrote the generation, by number.
    package var claims: [StoredClaim] = []
    /// Objects that are not ours. They are never touched.
    package var foreign: [ObjectInfo] = []

    /// The length of all segments in bytes.
    package var byteCount: UInt64 { all.reduce(0) { $0 &+ $1.size } }

    /// Every segment: the log, levels, snapshots.
    package var all: FlattenSequence<[[StoredSegment]]> {
        [logs, levels, snapshots].joined()
    }

    /// Whether there is no segment.
    package var isEmpty: Bool { logs.isEmpty && snapshots.isEmpty && levels.isEmpty }
}
