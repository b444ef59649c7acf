import Bytes
import PageHashing
import SQLiteAccess
import SegmentFormat
import WALFormat

/// Turns verified commits of the WAL into entries of a log segment, with the pages' content before
/// and after (DESIGN §5), and keeps the running digest.
///
/// Pages are found through SQLite's own WAL-index, not through a map of ours, so that memory does
/// not grow with the WAL or with a transaction.
final class CommitCopier {
    /// State of the database after the last copied commit.
    private(set) var pageCount: UInt32
    /// Its digest; nil while it is not known (after a restart, until the next proof).
    private(set) var digest: DatabaseDigest?

    private let index: WALIndex
    private let pageSize: PageSize
    /// A page after and before a commit: memory that is there from a commit on until `release()`.
    private var result = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var before = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// Pages that a growing database has without a frame. What we stored for them is what counts;
    /// the file may change underneath when it is truncated, so it is not asked again.
    private var unwritten: [PageNumber: PageHash] = [:]

    /// Removed pages of one commit whose content is kept for undo.
    private static let undoShrinkPages = 1000

    init(index: WALIndex, pageSize: PageSize, pageCount: UInt32, digest: DatabaseDigest?) {
        self.index = index
        self.pageSize = pageSize
        self.pageCount = pageCount
        self.digest = digest
    }

    deinit { release() }

    /// Gives back the memory that the next commit will need: nothing was committed for a while.
    func release() {
        result.deallocate()
        before.deallocate()
        result = .init(start: nil, count: 0)
        before = .init(start: nil, count: 0)
    }

    private func allocate() {
        guard result.baseAddress == nil else { return }
        result = .allocate(byteCount: pageSize.bytes, alignment: 16)
        before = .allocate(byteCount: pageSize.bytes, alignment: 16)
    }

    /// What is known of a page just before a commit.
    private enum PreImage {
        /// The content is in `before`.
        case content
        /// Only the hash is known.
        case hash(PageHash)
        case unknown
    }

    /// Appends one commit, whose frames follow `previous`, and ends it with `record`, in which page
    /// count and digest are filled in. `knownDigest` is the state's digest when it was proven
    /// otherwise.
    func copy(
        _ commit: WALFile.CommitBoundary,
        after previous: FrameIndex,
        from wal: WALFile,
        under rules: PinProtocol,
        into encoder: SegmentBatch,
        record: CommitRecord,
        knownDigest: DatabaseDigest? = nil
    ) throws {
        allocate()
        for frame in (previous + 1)...commit.frame {
            let page = try wal.page(of: frame)
            // A transaction that ends smaller may have spilled pages beyond its end.
            guard page.rawValue <= commit.pageCount, page != pageSize.lockPage,
                isLast(frame, of: page, in: commit)
            else { continue }
            try wal.readPage(of: frame, into: result)
            try append(page, before: previous, wal: wal, rules: rules, encoder: encoder)
        }
        if commit.pageCount > pageCount {
            try appendGrowth(commit, after: previous, wal: wal, encoder: encoder)
        } else if commit.pageCount < pageCount {
            try appendRemovals(
                commit.pageCount,
                after: previous,
                wal: wal,
                rules: rules,
                encoder: encoder
            )
        }
        pageCount = commit.pageCount
        if let knownDigest { digest = knownDigest }
        var record = record
        record.pageCount = commit.pageCount
        record.digest = digest
        record.lastFrame = commit.frame
        try encoder.endCommit(record)
    }

    /// Of several frames of one page in a commit the last one counts.
    private func isLast(
        _ frame: FrameIndex,
        of page: PageNumber,
        in commit: WALFile.CommitBoundary
    ) -> Bool {
        index.newestFrame(of: page, atOrBelow: commit.frame) == frame
    }

    /// Appends the page in `result`.
    private func append(
        _ page: PageNumber,
        before previous: FrameIndex,
        wal: WALFile,
        rules: PinProtocol,
        encoder: SegmentBatch
    ) throws {
        let hash = PageHasher.hash(UnsafeRawBufferPointer(result), number: page)
        if page.rawValue > pageCount {
            digest = digest.map { $0 &+ hash }
            try encoder.append(
                page: PageEntry(
                    change: .whole,
                    page: page,
                    isNew: true,
                    preHash: nil,
                    resultHash: hash.low
                ),
                content: UnsafeRawBufferPointer(result)
            )
            return
        }
        switch try preImage(of: page, asOf: previous, wal: wal, rules: rules) {
        case .content:
            let old = PageHasher.hash(UnsafeRawBufferPointer(before), number: page)
            digest = digest.map { $0 &- old &+ hash }
            PageXOR.apply(UnsafeRawBufferPointer(result), to: before)
            try encoder.append(
                page: PageEntry(
                    change: .xor,
                    page: page,
                    isNew: false,
                    preHash: old.low,
                    resultHash: hash.low
                ),
                content: UnsafeRawBufferPointer(before)
            )
        case .hash(let old):
            digest = digest.map { $0 &- old &+ hash }
            try appendWhole(page, hash: hash, preHash: old.low, encoder: encoder)
        case .unknown:
            digest = nil
            try appendWhole(page, hash: hash, preHash: nil, encoder: encoder)
        }
        unwritten[page] = nil
    }

    private func appendWhole(
        _ page: PageNumber,
        hash: PageHash,
        preHash: UInt64?,
        encoder: SegmentBatch
    ) throws {
        try encoder.append(
            page: PageEntry(
                change: .whole,
                page: page,
                isNew: false,
                preHash: preHash,
                resultHash: hash.low
            ),
            content: UnsafeRawBufferPointer(result)
        )
    }

    /// The newest frame at or below `previous`, frames already backfilled included; else the
    /// database file, while it provably still holds that state.
    private func preImage(
        of page: PageNumber,
        asOf previous: FrameIndex,
        wal: WALFile,
        rules: PinProtocol
    ) throws -> PreImage {
        if let hash = unwritten[page] { return .hash(hash) }
        if let frame = index.newestFrame(of: page, atOrBelow: previous) {
            try wal.readPage(of: frame, into: before)
            return .content
        }
        guard let info = index.checkpointInfo(), rules.isFileReadable(asOf: previous, info) else {
            return .unknown
        }
        try index.readPage(page, size: pageSize, into: before)
        guard let later = index.checkpointInfo(), rules.isFileReadable(asOf: previous, later) else {
            return .unknown
        }
        return .content
    }

    /// Pages above the old count for which the commit wrote no frame: what a reader would see.
    private func appendGrowth(
        _ commit: WALFile.CommitBoundary,
        after previous: FrameIndex,
        wal: WALFile,
        encoder: SegmentBatch
    ) throws {
        for number in (pageCount + 1)...commit.pageCount {
            let page = PageNumber(number)
            guard page != pageSize.lockPage else { continue }
            let frame = index.newestFrame(of: page, atOrBelow: commit.frame)
            if let frame, frame > previous { continue }
            if let frame {
                try wal.readPage(of: frame, into: result)
            } else {
                try index.readPage(page, size: pageSize, into: result)
            }
            let hash = PageHasher.hash(UnsafeRawBufferPointer(result), number: page)
            digest = digest.map { $0 &+ hash }
            unwritten[page] = hash
            try encoder.append(
                page: PageEntry(
                    change: .whole,
                    page: page,
                    isNew: true,
                    preHash: nil,
                    resultHash: hash.low
                ),
                content: UnsafeRawBufferPointer(result)
            )
        }
    }

    private func appendRemovals(
        _ newCount: UInt32,
        after previous: FrameIndex,
        wal: WALFile,
        rules: PinProtocol,
        encoder: SegmentBatch
    ) throws {
        var kept = 0
        for number in (newCount + 1)...pageCount {
            let page = PageNumber(number)
            guard page != pageSize.lockPage else { continue }
            var preHash: PageHash?
            var hasContent = false
            switch try preImage(of: page, asOf: previous, wal: wal, rules: rules) {
            case .content:
                preHash = PageHasher.hash(UnsafeRawBufferPointer(before), number: page)
                hasContent = kept < Self.undoShrinkPages
            case .hash(let hash):
                preHash = hash
            case .unknown: break
            }
            digest = preHash.flatMap { hash in digest.map { $0 &- hash } }
            unwritten[page] = nil
            kept += hasContent ? 1 : 0
            try encoder.append(
                page: PageEntry(
                    change: .removed(hasContent: hasContent),
                    page: page,
                    isNew: false,
                    preHash: preHash?.low,
                    resultHash: 0
                ),
                content: hasContent ? UnsafeRawBufferPointer(before) : nil
            )
        }
    }
}
