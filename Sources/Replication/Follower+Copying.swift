import Bytes
import Platform
import SQLiteAccess
import SegmentFormat
import WALFormat

extension Follower {
    /// How much of what is new is copied at once, while a writer is held up.
    struct CopyLimit {
        /// Frames that are verified, more if there is no whole commit in them.
        let frames: FrameIndex
        /// No commit but the first is begun after it.
        let deadline: MonotonicTime
    }

    /// Frames that take longer than a change of threads does.
    private static let framesThatTakeLong: FrameIndex = 64

    /// Copies every commit up to the header's last frame into the open batch; with a limit at least
    /// one of them.
    func copy(
        _ header: WALIndexHeader,
        seenAt: Timestamp,
        limit: CopyLimit? = nil
    ) throws {
        if queue.isFull(configuration.pendingBytesMax), urgentSince == nil {
            // With too much waiting in memory the commits wait in the WAL, which the pin keeps;
            // once it is large enough to be reset, what waits moves from memory to the spool.
            guard header.mxFrame >= resetThreshold else { return }
            try spoolUnsafe()
            guard !queue.isFull(configuration.pendingBytesMax) else { return }
        }
        if header.mxFrame - position.frame > Self.framesThatTakeLong { beforeLong?() }
        let (commits, isWhole) = try verifiedCommits(header, limit: limit?.frames)
        var left = commits[...]
        while let commit = left.first {
            try copy(commit, seenAt: seenAt)
            left.removeFirst()
            if let limit, MonotonicTime.now >= limit.deadline { break }
        }
        guard let after = index.header(), after.salts == header.salts else {
            throw hazard("the WAL was reset while its frames were being copied")
        }
        lastChange = isWhole ? header.change &- UInt32(clamping: left.count) : nil
        reportUnchecked(commits)
        let now = MonotonicTime.now
        lastCommit = now
        nextLockProbe = nil
        if firstUnsealed == nil { firstUnsealed = now }
    }

    /// The commits after the position, and whether they are all that the header knows of. Not more
    /// than `limit` frames are read for them, unless the first one is longer.
    private func verifiedCommits(
        _ header: WALIndexHeader,
        limit: FrameIndex?
    ) throws -> (commits: [WALFile.CommitBoundary], isWhole: Bool) {
        if let limit, header.mxFrame - position.frame > limit {
            let commits = try verify(header, through: position.frame + limit)
            if !commits.isEmpty { return (commits, false) }
        }
        let commits = try verify(header, through: header.mxFrame)
        guard let last = commits.last, last.frame == header.mxFrame,
            last.checksum == header.frameChecksum
        else {
            throw hazard("frame \(header.mxFrame) is not the commit that the WAL-index says")
        }
        return (commits, true)
    }

    private func verify(
        _ header: WALIndexHeader,
        through last: FrameIndex
    ) throws -> [WALFile.CommitBoundary] {
        do {
            return try wal.verify(
                after: position,
                through: last,
                bigEndian: header.hasBigEndianChecksums,
                expected: last == header.mxFrame ? lastChange.map { header.change &- $0 } : nil
            )
        } catch let error as WALError {
            throw hazard("frames up to \(last) do not verify: \(error)")
        }
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
            spoolFolder: configuration.spoolFolder,
            collectsChanges: levels.isWanted
        )
    }
}
