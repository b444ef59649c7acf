import Bytes
import Platform
import SQLiteAccess
import SegmentFormat
import WALFormat

extension Follower {
    /// Copies every commit up to the header's last frame into the open batch.
    func copy(_ header: WALIndexHeader, seenAt: Timestamp) throws {
        // With too much waiting in memory the commits wait in the WAL, which the pin keeps.
        guard queue.pendingBytes < configuration.pendingBytesMax || urgentSince != nil else {
            return
        }
        let bigEndian = header.hasBigEndianChecksums
        let commits: [WALFile.CommitBoundary]
        do {
            commits = try wal.verify(
                after: position,
                through: header.mxFrame,
                bigEndian: bigEndian,
                expected: lastChange.map { header.change &- $0 }
            )
        } catch let error as WALError {
            throw hazard("frames up to \(header.mxFrame) do not verify: \(error)")
        }
        guard let last = commits.last, last.frame == header.mxFrame,
            last.checksum == header.frameChecksum
        else {
            throw hazard("frame \(header.mxFrame) is not the commit that the WAL-index says")
        }
        for commit in commits {
            try copy(commit, seenAt: seenAt)
        }
        guard let after = index.header(), after.salts == header.salts else {
            throw hazard("the WAL was reset while its frames were being copied")
        }
        lastChange = header.change
        reportUnchecked(commits)
        let now = MonotonicTime.now
        lastCommit = now
        if firstUnsealed == nil { firstUnsealed = now }
    }

    private func copy(_ commit: WALFile.CommitBoundary, seenAt: Timestamp) throws {
        let batch = try self.batch ?? openBatch()
        self.batch = batch
        let knownDigest = proven.flatMap { $0.frame == commit.frame ? $0.digest : nil }
        try copier.copy(
            commit,
            after: position.frame,
            from: wal,
            under: pins.rules,
            into: batch,
            record: CommitRecord(
                txid: txid.next,
                pageCount: commit.pageCount,
                digest: nil,
                notSeenAt: lastLook,
                seenAt: seenAt,
                entryCount: 0,
                lastFrame: commit.frame,
                isBridge: false
            ),
            knownDigest: knownDigest
        )
        txid = txid.next
        lastSeen = seenAt
        position.frame = commit.frame
        position.checksum = commit.checksum
        pins.rules.copy(to: commit.frame)
        statistics.commits += 1
        if batch.rawContentByteCount > Self.segmentRawBytesMax { try seal() }
    }

    /// SQLite's recovery after a crash stops at the first frame without a checksum, and so loses
    /// these commits and all after them until the next checkpoint. The backup has them.
    private func reportUnchecked(_ commits: [WALFile.CommitBoundary]) {
        guard !saidUnchecked, let first = commits.first(where: \.isUnchecked) else { return }
        saidUnchecked = true
        log(
            .warning,
            "SQLite committed frames without checksums after a ROLLBACK TO; the backup holds them, "
                + "but a power cut before the next checkpoint would lose them from the database: "
                + "use a newer SQLite in the application",
            [("database", configuration.databasePath), ("frame", "\(first.frame)")]
        )
    }

    private func openBatch() throws -> SegmentBatch {
        try SegmentBatch(
            header: SegmentHeader(
                kind: .log,
                level: 0,
                pageSize: pageSize,
                minTXID: txid.next,
                writer: configuration.writer,
                link: link,
                digestBefore: copier.digest,
                pageCountBefore: copier.pageCount,
                generation: configuration.generation
            ),
            spoolFolder: configuration.spoolFolder
        )
    }
}
