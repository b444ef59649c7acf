import BackupCatalog
import Bytes
import SegmentFormat
import Zstandard

/// Which pages a level holds or removes, checked against the rules of FORMAT.md §14.
struct LevelIndex: Sendable {
    /// All records, by page.
    let entries: [PageEntry]
    /// Those that have content, by page.
    let whole: [PageEntry]

    /// Reads the index of a level.
    init(_ open: OpenSegment) async throws {
        let (header, footer) = (open.layout.header, open.layout.footer)
        var entries: [PageEntry] = []
        var decompressor = Decompressor()
        for block in open.layout.blocks where block.kind == .meta {
            let stored = try await open.bytes(of: block)
            entries += try open.segment.naming { () throws(SegmentError) in
                try LevelBlocks.decodeMeta(stored, block, using: &decompressor)
            }
        }
        let (before, after) = (header.pageCountBefore, footer.pageCountAfter)
        var last: UInt32 = 0
        var sum: UInt64 = 0
        for entry in entries {
            let page = entry.page.rawValue
            guard page > last, page <= max(before, after), entry.page != header.pageSize.lockPage,
                entry.change.isRemoval == (page > after), entry.isNew == (page > before),
                entry.isNew == (entry.preHash == nil)
            else { throw open.damaged("the record of page \(page) breaks a rule") }
            last = page
            sum = sum &+ entry.resultHash &- (entry.preHash ?? 0)
        }
        guard let digests = Self.digests(open.layout),
            digests.after.low &- digests.before.low == sum
        else { throw open.damaged("its pages do not account for the difference of its digests") }
        self.entries = entries
        whole = entries.filter { !$0.change.isRemoval }
    }

    private static func digests(
        _ layout: SegmentLayout
    ) -> (before: DatabaseDigest, after: DatabaseDigest)? {
        guard let before = layout.header.digestBefore, let after = layout.footer.digestAfter else {
            return nil
        }
        return (before, after)
    }
}
