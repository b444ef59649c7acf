import Bytes
import Platform
import SQLiteAccess
import SegmentFormat
import WALFormat

/// Snapshots: the base of a generation, and later ones that maintenance asks for (DESIGN §5).
extension Follower {
    /// How long pages are read before other work has its turn.
    private static let snapshotTurn = 10 * Nanoseconds.millisecond
    /// How long a slice lasts at least when an application's checkpoint is in the way of it.
    private static let sliceMin = 250 * Nanoseconds.millisecond
    /// How long the pin is free after that, so that the checkpoint succeeds.
    private static let sliceGap = 50 * Nanoseconds.millisecond
    /// How long making room is waited for between two slices.
    private static let roomWait = Nanoseconds.second
    /// The share of the disk that a snapshot leaves free.
    private static let freeShare = 0.1

    /// Whether a snapshot needs the older pin where it is.
    var isSnapshotReading: Bool { snapshot?.isReading ?? false }

    /// Begins the snapshot of the state at which the follower stands.
    func startSnapshot(_ state: PinnedState, digest: DatabaseDigest?) throws {
        pushRecord()
        let job = try SnapshotJob(
            header: SegmentHeader(
                kind: .snapshot,
                level: 0xff,
                pageSize: pageSize,
                minTXID: txid,
                writer: configuration.writer,
                link: nil,
                digestBefore: nil,
                pageCountBefore: 0,
                generation: configuration.generation
            ),
            slice: slice(of: state, digest: digest),
            sink: snapshotSink(byteCount: Int64(state.pageCount) * Int64(pageSize.bytes))
        )
        snapshot = job
        if !job.isSpooled { push(job) }
    }

    private func slice(of state: PinnedState, digest: DatabaseDigest?) -> SnapshotJob.Slice {
        SnapshotJob.Slice(
            state: state,
            txid: txid,
            time: lastSeen,
            position: position,
            digest: digest
        )
    }

    /// The local disk where it has room for all pages, the pipe to the store else.
    private func snapshotSink(byteCount: Int64) -> SnapshotJob.Sink {
        let spool = SnapshotJob.Sink.spool(SegmentOutput(spoolFolder: configuration.spoolFolder))
        guard byteCount > SegmentOutput.memoryBytesMax else { return spool }
        let folder = FileSystem.folder(of: configuration.databasePath)
        guard let space = try? FileSystem.space(at: folder) else { return spool }
        let room = Double(space.free) - Double(space.total) * Self.freeShare
        guard room < Double(byteCount) else { return spool }
        log(
            .warning,
            "the disk has no room for a snapshot, so that it is sent as it is read; the WAL grows "
                + "until the store has taken it",
            [
                ("database", configuration.databasePath), ("free", "\(space.free)"),
                ("needed", "\(byteCount)"),
            ]
        )
        return .stream(ChunkChannel(signal: signal))
    }

    private func push(_ job: SnapshotJob, replacing failed: Int? = nil) {
        let id = failed ?? nextSnapshot
        if failed == nil { nextSnapshot += 1 }
        job.id = id
        snapshotQueue.push(
            UploadQueue.Item(
                id: id,
                path: "highwater-1/\(configuration.generation)/\(job.path)",
                body: job.body
            ),
            replacingFailed: failed != nil
        )
    }

    /// Begins a snapshot that maintenance asked for, once the older pin stands where everything is
    /// copied and safe.
    func beginWantedSnapshot() throws {
        guard let reason = snapshotQueue.wantedSnapshot, snapshot == nil, levels.job == nil,
            hasBase, !isFinishing, let state = try stateForSnapshot(), copier.digest != nil
        else { return }
        snapshotQueue.snapshotBegan()
        log(
            .info,
            "snapshot begins",
            [
                ("database", configuration.databasePath), ("txid", "\(txid)"),
                ("reason", reason),
            ]
        )
        try startSnapshot(state, digest: copier.digest)
    }

    /// The state after the last copied commit, with the older pin standing there; nil when it could
    /// not be brought there, and until it may be tried again.
    private func stateForSnapshot() throws -> PinnedState? {
        let now = MonotonicTime.now
        guard snapshotBackOff.isReady(now) else { return nil }
        // Commits that keep coming are held up for a moment when it does not work without.
        var isThere = false
        if snapshotBackOff.next == nil {
            isThere = try standWhereEverythingIsCopied()
        } else {
            _ = try underWriteLock { isThere = try standWhereEverythingIsCopied() }
        }
        guard isThere else {
            snapshotBackOff.failed(now)
            return nil
        }
        snapshotBackOff.succeeded()
        return PinnedState(
            index: index,
            position: position,
            pageSize: pageSize,
            pageCount: copier.pageCount
        )
    }

    /// Moves the older pin to the last copied commit; false when more was committed meanwhile.
    func standWhereEverythingIsCopied() throws -> Bool {
        try catchUpSafely()
        guard try advancePin(), pins.rules.older.point == pins.rules.copied,
            let info = index.checkpointInfo()
        else { return false }
        return pins.rules.isFileReadable(asOf: position.frame, info)
    }

    // MARK: - Reading

    /// Reads on in the snapshot, and lets go of the pin when the WAL has grown meanwhile, or the
    /// application's checkpoints wait for it.
    func produceSnapshot() throws {
        guard let snapshot, !snapshot.isProduced else { return }
        beforeLong?()
        if !snapshot.isReading { try resume(snapshot) }
        do {
            try snapshot.produce(wal: wal, until: MonotonicTime.now + Self.snapshotTurn)
        } catch let error as SystemError where snapshot.isSpooled {
            return try stream(snapshot, because: error)
        }
        if snapshot.isProduced {
            if snapshot.isSpooled { push(snapshot) }
        } else if mayCheckpoint, position.frame >= resetThreshold || isCheckpointHeldUp(snapshot) {
            snapshot.endSlice()
        }
    }

    private func isCheckpointHeldUp(_ snapshot: SnapshotJob) -> Bool {
        guard let lastForeignCheckpoint else { return false }
        return lastForeignCheckpoint > snapshot.sliceBegan
            && MonotonicTime.now - snapshot.sliceBegan >= Self.sliceMin
    }

    private func resume(_ snapshot: SnapshotJob) throws {
        let pause = MonotonicTime.now - snapshot.sliceEnded
        guard pause >= Self.sliceGap, !wantsRoom || pause >= Self.roomWait,
            let state = try stateForSnapshot()
        else { return }
        let next = slice(of: state, digest: copier.digest)
        guard snapshot.begin(next) else {
            log(
                .info,
                "the database has shrunk, so that its snapshot begins again",
                [("database", configuration.databasePath)]
            )
            return try startSnapshot(state, digest: copier.digest)
        }
    }

    /// When the snapshot goes on.
    func snapshotTime(_ now: MonotonicTime) -> MonotonicTime? {
        guard let snapshot, !snapshot.isProduced else { return nil }
        if snapshot.isReading { return snapshot.canRead ? now : nil }
        return max(snapshot.sliceEnded + Self.sliceGap, snapshotBackOff.next ?? now)
    }

    /// The disk does not take the snapshot: it is sent as it is read, from the beginning.
    private func stream(_ old: SnapshotJob, because error: SystemError) throws {
        log(
            .warning,
            "a snapshot cannot be kept on the disk, so that it is sent as it is read; the WAL "
                + "grows until the store has taken it",
            [("database", configuration.databasePath), ("error", "\(error)")]
        )
        let job = try old.again(.stream(ChunkChannel(signal: signal)))
        snapshot = job
        push(job)
    }

    /// A stream broke: its state is read again.
    func restartSnapshot(_ id: Int) throws {
        guard let old = snapshot, old.id == id else { return }
        let job = try old.again(.stream(ChunkChannel(signal: signal)))
        snapshot = job
        push(job, replacing: id)
    }

    /// Takes note of a snapshot that has arrived. It has a lane of its own: without generation.json
    /// nobody finds it, and in slices it needs the log up to its last one.
    func collectSnapshot() {
        guard let snapshot, snapshot.isProduced, let id = snapshot.id,
            id <= snapshotQueue.durable, arrived >= snapshot.slice.txid,
            recordItem.map({ $0 <= queue.durable }) ?? true
        else { return }
        hasBase = true
        meter?.update { $0.snapshotTime = .now }
        log(
            .info,
            "snapshot stored",
            [
                ("generation", "\(configuration.generation)"), ("txid", "\(snapshot.slice.txid)"),
                ("pages", "\(snapshot.slice.state.pageCount)"),
                ("digest", snapshot.slice.digest.map { "\($0)" } ?? "unknown"),
            ]
        )
        self.snapshot = nil
    }
}
