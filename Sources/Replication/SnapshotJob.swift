import Bytes
import Platform
import SQLiteAccess
import SegmentFormat
import WALFormat

/// A snapshot on its way: pages are read under the pin as fast as the store takes them.
final class SnapshotJob {
    let id: Int
    let txid: TXID
    let state: PinnedState
    /// The state's digest, computed before; the snapshot must have the same.
    let digest: DatabaseDigest
    let channel: ChunkChannel
    let path: String
    private(set) var isProduced = false
    private let encoder: SnapshotEncoder
    private let position: WALPosition
    private let header: SegmentHeader
    private let time: Timestamp
    private let page: UnsafeMutableRawBufferPointer

    private static let chunkBytes = 256 * 1024

    init(
        id: Int,
        header: SegmentHeader,
        time: Timestamp,
        state: PinnedState,
        position: WALPosition,
        digest: DatabaseDigest,
        signal: FollowerSignal
    ) throws {
        self.id = id
        self.header = header
        self.time = time
        self.state = state
        self.position = position
        self.digest = digest
        txid = header.minTXID
        channel = ChunkChannel(signal: signal)
        path =
            SegmentName(
                kind: .snapshot,
                level: 0xff,
                minTXID: header.minTXID,
                maxTXID: header.minTXID,
                time: time,
                writer: header.writer
            ).path
        encoder = try SnapshotEncoder(header: header, time: time, pageCount: state.pageCount)
        page = .allocate(byteCount: state.pageSize.bytes, alignment: 16)
    }

    deinit {
        page.deallocate()
        if !isProduced { channel.cancel() }
    }

    /// The same snapshot, from its beginning.
    func again(signal: FollowerSignal) throws -> SnapshotJob {
        try SnapshotJob(
            id: id,
            header: header,
            time: time,
            state: state,
            position: position,
            digest: digest,
            signal: signal
        )
    }

    /// Reads pages until the pipe is full or the snapshot ends.
    func produce(wal: WALFile) throws {
        while !isProduced, channel.hasRoom {
            guard let next = encoder.nextPage else {
                let finished = try encoder.finish(position: position)
                guard finished.footer.digestAfter == digest else {
                    throw ReplicationError(
                        .hazard,
                        "the database changed under the pin while its snapshot was read"
                    )
                }
                channel.push(encoder.takeOutput(), finished: true)
                isProduced = true
                return
            }
            try state.read(next, wal: wal, into: page)
            try encoder.append(page: next, content: UnsafeRawBufferPointer(page))
            if encoder.bufferedByteCount > Self.chunkBytes * 8 {
                channel.push(encoder.takeOutput(), finished: false)
            }
        }
    }
}

extension Follower {
    /// Begins the snapshot of the state at which the follower starts.
    func startSnapshot(_ state: PinnedState, digest: DatabaseDigest) throws {
        pushRecord()
        let job = try SnapshotJob(
            id: nextSnapshot,
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
            time: lastSeen,
            state: state,
            position: position,
            digest: digest,
            signal: signal
        )
        nextSnapshot += 1
        snapshot = job
        snapshotQueue.push(item(job))
    }

    private func item(_ job: SnapshotJob) -> UploadQueue.Item {
        UploadQueue.Item(
            id: job.id,
            path: "highwater-1/\(configuration.generation)/\(job.path)",
            body: .stream(job.channel)
        )
    }

    /// Begins a snapshot that maintenance asked for, once the older pin stands where everything is
    /// copied and safe. It stays there until all pages are read.
    func beginWantedSnapshot() throws {
        let now = MonotonicTime.now
        guard let reason = snapshotQueue.wantedSnapshot, snapshot == nil, hasBase, !isFinishing,
            snapshotBackOff.isReady(now)
        else { return }
        // Commits that keep coming are held up for a moment when it does not work without.
        var isThere = false
        if snapshotBackOff.next == nil {
            isThere = try standWhereEverythingIsCopied()
        } else {
            _ = try underWriteLock { isThere = try standWhereEverythingIsCopied() }
        }
        guard isThere, let digest = copier.digest else { return snapshotBackOff.failed(now) }
        snapshotBackOff.succeeded()
        snapshotQueue.snapshotBegan()
        log(
            .info,
            "snapshot begins",
            [
                ("database", configuration.databasePath), ("txid", "\(txid)"),
                ("reason", reason),
            ]
        )
        try startSnapshot(
            PinnedState(
                index: index,
                position: position,
                pageSize: pageSize,
                pageCount: copier.pageCount
            ),
            digest: digest
        )
    }

    /// Moves the older pin to the last copied commit; false when more was committed meanwhile.
    private func standWhereEverythingIsCopied() throws -> Bool {
        try catchUpSafely()
        guard try advancePin(), pins.rules.older.point == pins.rules.copied,
            let info = index.checkpointInfo()
        else { return false }
        return pins.rules.isFileReadable(asOf: position.frame, info)
    }

    func produceSnapshot() throws { try snapshot?.produce(wal: wal) }

    func restartSnapshot(_ id: Int) throws {
        guard let old = snapshot, old.id == id else { return }
        let job = try old.again(signal: signal)
        snapshot = job
        snapshotQueue.push(item(job), replacingFailed: true)
    }
}
