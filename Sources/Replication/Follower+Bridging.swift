import BackupCatalog
import Bytes
import PageHashing
import Platform
import SegmentFormat
import WALFormat

/// What lies between the store's last state and the database's, when the commits between are lost
/// (DESIGN §7, case 3).
struct Bridge {
    /// The pages as the store has them.
    let stored: PageHashIndex
    /// The digest of that state, when it is recorded.
    let digestBefore: DatabaseDigest?
    /// The pages as the database has them.
    let local: PageHashList

    /// How many pages differ.
    var differingPageCount: Int {
        let shared = min(stored.low.count, local.low.count)
        let changed = (0..<shared).count { stored.low[$0] != local.low[$0] }
        return changed + max(stored.low.count, local.low.count) - shared
    }
}

extension Follower {
    /// Sends the pages that differ as one commit, marked as a bridge, in a segment of its own. The
    /// follower stands at `state`, which is pinned.
    func send(_ bridge: Bridge, to state: PinnedState) throws {
        let batch = try SegmentBatch(
            header: SegmentHeader(
                kind: .log,
                level: 0,
                pageSize: pageSize,
                minTXID: txid.next,
                writer: configuration.writer,
                link: link,
                digestBefore: bridge.digestBefore,
                pageCountBefore: bridge.stored.pageCount,
                generation: configuration.generation
            ),
            spoolFolder: configuration.spoolFolder
        )
        try append(bridge, from: state, to: batch)
        let now = Timestamp.now
        try batch.endCommit(
            CommitRecord(
                txid: txid.next,
                pageCount: state.pageCount,
                digest: bridge.local.digest,
                notSeenAt: lastSeen,
                seenAt: max(now, lastSeen),
                lastFrame: state.frame,
                isBridge: true
            )
        )
        txid = txid.next
        lastSeen = max(now, lastSeen)
        lastLook = lastSeen
        self.batch = batch
        try seal()
    }

    private func append(
        _ bridge: Bridge,
        from state: PinnedState,
        to batch: SegmentBatch
    ) throws {
        let (stored, local) = (bridge.stored.low, bridge.local.low)
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize.bytes, alignment: 16)
        defer { page.deallocate() }
        for place in 0..<max(stored.count, local.count) {
            let number = PageNumber(UInt32(place + 1))
            guard number != pageSize.lockPage else { continue }
            guard place < local.count else {
                try batch.append(
                    page: PageEntry(
                        change: .removed(hasContent: false),
                        page: number,
                        preHash: stored[place],
                        resultHash: 0
                    ),
                    content: nil
                )
                continue
            }
            let isNew = place >= stored.count
            if !isNew, stored[place] == local[place] { continue }
            try state.read(number, wal: wal, into: page)
            let hash = PageHasher.hash(UnsafeRawBufferPointer(page), number: number)
            guard hash.low == local[place] else {
                throw hazard("page \(number) changed under the pin")
            }
            try batch.append(
                page: PageEntry(
                    change: .whole,
                    page: number,
                    isNew: isNew,
                    preHash: isNew ? nil : stored[place],
                    resultHash: hash.low
                ),
                content: UnsafeRawBufferPointer(page)
            )
        }
    }
}
