import Bytes
import WALFormat

/// Finds where commits end in a row of verified frames.
struct CommitCollector {
    private var found: [WALFile.CommitBoundary] = []
    /// For each commit found, whether its last frame repeats the last frame of the one before.
    private var repeats: [Bool] = []
    private var hasUncheckedFrames = false
    private var last: (page: PageNumber, count: UInt32, content: [UInt8])?

    /// Takes the next frame; `content` is only asked for at the end of a commit.
    mutating func add(
        _ header: FrameHeader,
        frame: FrameIndex,
        sum: WALChecksum,
        content: () -> [UInt8]
    ) {
        hasUncheckedFrames = hasUncheckedFrames || header.isUnchecked
        guard header.commitPageCount > 0 else {
            last = nil
            return
        }
        let content = content()
        found.append(
            WALFile.CommitBoundary(
                frame: frame,
                pageCount: header.commitPageCount,
                checksum: sum,
                isUnchecked: hasUncheckedFrames
            )
        )
        repeats.append(
            last.map {
                $0.page == header.page && $0.count == header.commitPageCount
                    && $0.content == content
            } ?? false
        )
        last = (header.page, header.commitPageCount, content)
        hasUncheckedFrames = false
    }

    /// The commits. `expected` is how many transactions the WAL-index has counted (`iChange`).
    ///
    /// A commit frame that repeats the one before is either a transaction that changed nothing, or
    /// padding: wal.c `sqlite3WalFrames` repeats the last frame up to the end of the sector when
    /// the file system is not known to keep the rest of a sector it writes (`psow=0`) and
    /// synchronous=FULL. The count tells the two apart; without it both are taken as commits,
    /// since a commit that changes nothing does no harm.
    func commits(expected: UInt32?) -> [WALFile.CommitBoundary] {
        guard let expected, expected != UInt32(clamping: found.count), repeats.contains(true) else {
            return found
        }
        var merged: [WALFile.CommitBoundary] = []
        for (boundary, isRepeat) in zip(found, repeats) {
            if isRepeat { merged.removeLast() }
            merged.append(boundary)
        }
        return merged
    }
}
