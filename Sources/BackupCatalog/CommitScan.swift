package import Bytes
package import ObjectStorage
package import SegmentFormat
import Zstandard

/// One commit in the store.
package struct StoredCommit: Sendable {
    /// What the segment says of it.
    package let record: CommitRecord
    /// The segment that holds it.
    package let segment: StoredSegment
}

/// Reads the commits of log segments without their pages: the meta blocks only, one at a time.
package struct CommitScan: Sendable {
    private let store: any ObjectStore

    /// A scan of segments in `store`.
    package init(store: any ObjectStore) { self.store = store }

    /// Hands the segment's commits to `body` in order, until it returns false.
    package func commits(
        of segment: StoredSegment,
        _ body: (StoredCommit) throws -> Bool
    ) async throws {
        let fetcher = SegmentFetcher(segment, from: store)
        let layout = try await fetcher.layout()
        var checker = LogRecordChecker(header: layout.header)
        var decompressor = Decompressor()
        for block in layout.blocks where block.kind == .meta {
            let bytes = try await fetcher.bytes(in: block.range)
            do {
                let records = try LogBlocks.decodeMeta(bytes[...], block, using: &decompressor)
                for record in records {
                    try checker.check(record)
                    guard case .commit(let commit) = record else { continue }
                    if try !body(StoredCommit(record: commit, segment: segment)) { return }
                }
            } catch let error as SegmentError {
                throw error.about(segment.key.path)
            }
        }
    }

    /// The segment's commit with that TXID, which its name says it holds.
    package func commit(_ txid: TXID, in segment: StoredSegment) async throws -> CommitRecord {
        var found: CommitRecord?
        try await commits(of: segment) { commit in
            if commit.record.txid == txid { found = commit.record }
            return found == nil
        }
        guard let found else {
            throw CatalogError(
                .damaged,
                object: segment.key.path,
                "the segment does not hold commit \(txid), which its name promises"
            )
        }
        return found
    }
}
