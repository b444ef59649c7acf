import BackupCatalog
import Bytes
import Maintenance
import Platform
import SegmentFormat
import WALFormat

/// A sealed segment that is not safe yet.
struct SealedSegment {
    let id: Int
    /// The history up to which everything is safe once this segment is.
    let point: PinProtocol.Point
    let txid: TXID
    let fileName: String
    /// When its first commit was copied, and when its last one was seen.
    let since: MonotonicTime
    let seen: Timestamp
    var bytes: SegmentBytes
    var spoolPath: String?
}

extension Follower {
    /// When the open batch may be sealed: at once after a pause, else a sync interval after the
    /// last one (DESIGN §3, cadence).
    func sealTime(_ now: MonotonicTime) -> MonotonicTime {
        guard let lastSeal, syncs.isEmpty else { return now }
        return max(now, lastSeal + configuration.syncInterval)
    }

    /// While segments are on their way the open batch takes what is committed: behind a slow store,
    /// or one that is away, what waits stays a few objects, however long it takes.
    var isSendingSegments: Bool { !unsafeSegments.isEmpty }

    /// Seals and sends what is due.
    func ship() throws {
        let now = MonotonicTime.now
        let sealed = unsafeSegments.last?.point ?? pins.rules.safe
        let isUrgent = urgentPoint.map { sealed < $0 } ?? false
        if batch != nil, isUrgent || !isSendingSegments && now >= sealTime(now) {
            // The newer pin first: what is committed before it lands is still copied and sealed,
            // so that it may follow as soon as this segment is safe (§4.1).
            if !pins.isNewerHeld, try pins.takeNewer(index) { try look() }
            try seal()
        }
        if let urgentSince, now - urgentSince >= configuration.urgentStoreTime {
            try spoolUnsafe()
        }
    }

    /// Ends the open batch and hands it to the uploader.
    func seal() throws {
        guard let batch, batch.commitCount > 0 else { return }
        pushRecord()
        let (finished, bytes) = try batch.finish(position: position)
        self.batch = nil
        let since = firstUnsealed ?? MonotonicTime.now
        firstUnsealed = nil
        lastSeal = MonotonicTime.now
        link = finished.footer.checksum
        if let changes = batch.changes {
            levels.windows?.add(changes, byteCount: UInt64(bytes.byteCount))
        }
        statistics.segments += 1
        let segment = SealedSegment(
            id: nextItem,
            point: pins.rules.copied,
            txid: txid,
            fileName: finished.name.fileName,
            since: since,
            seen: lastSeen,
            bytes: bytes
        )
        unsafeSegments.append(segment)
        push(path: finished.name.path, body: .bytes(bytes))
    }

    /// Hands generation.json of a new generation to the uploader, before anything else of it.
    func pushRecord() {
        guard let record = pendingRecord.take() else { return }
        recordItem = nextItem
        push(path: GenerationFile.name, body: .bytes(.memory(record)))
    }

    /// Hands an object to the uploader.
    func push(path: String, body: UploadQueue.Item.Body, in generation: GenerationID? = nil) {
        let generation = generation ?? configuration.generation
        queue.push(
            UploadQueue.Item(id: nextItem, path: "highwater-1/\(generation)/\(path)", body: body)
        )
        nextItem += 1
    }

    /// Sends segments that an earlier process spooled. They come first, and are safe already.
    func sendSpooled(_ chain: [SpoolRecovery.Segment], in generation: GenerationID?) throws {
        // They are safe, and not in the store yet. Where the database went back in its history, or
        // begins another, numbers after its own are commits of the generation that it left.
        if let first = chain.first { arrived = min(first.name.minTXID.previous, txid) }
        for segment in chain {
            let bytes = SegmentBytes.file(try SpoolFile(existing: segment.path))
            unsafeSegments.append(
                SealedSegment(
                    id: nextItem,
                    point: pins.rules.safe,
                    txid: min(segment.name.maxTXID, txid),
                    fileName: segment.name.fileName,
                    since: .now,
                    seen: segment.name.time,
                    bytes: bytes,
                    spoolPath: segment.path
                )
            )
            push(path: segment.name.path, body: .bytes(bytes), in: generation)
        }
    }

    /// Takes note of what has arrived in the store.
    func collectDurable() throws {
        // Both lanes look, and either may be the one that finds out.
        if let refusal = queue.refusal ?? snapshotQueue.refusal {
            throw refusal.error(configuration.generation, of: configuration.databasePath)
        }
        if let failed = snapshotQueue.takeFailedStream() { try restartSnapshot(failed) }
        let durable = queue.durable
        while let segment = unsafeSegments.first, segment.id <= durable {
            pins.rules.makeSafe(segment.point)
            arrived = segment.txid
            arrivedTime = segment.seen
            if let path = segment.spoolPath { try FileSystem.remove(path) }
            log(.debug, "durable", [("txid", "\(segment.txid)")])
            unsafeSegments.removeFirst()
        }
        collectLevel()
        collectSnapshot()
    }

    /// Makes every sealed segment safe in the spool, fsynced, without waiting for the store. A disk
    /// that does not take them is no reason to stop: the pin keeps the frames in the WAL.
    func spoolUnsafe() throws {
        let now = MonotonicTime.now
        guard spoolBackOff.isReady(now) else { return }
        beforeLong?()
        do {
            try writeSpool()
            spoolBackOff.succeeded()
        } catch let error as SystemError {
            log(
                .error,
                "commits cannot be made safe in the spool; they stay in the WAL, which grows",
                [
                    ("database", configuration.databasePath), ("error", "\(error)"),
                    ("remedy", "make room on the database's disk, or bring the store back"),
                ]
            )
            spoolBackOff.failed(now)
        }
    }

    private func writeSpool() throws {
        let folder = "\(configuration.spoolFolder)/\(configuration.generation)"
        var madeFiles = false
        for index in unsafeSegments.indices where unsafeSegments[index].spoolPath == nil {
            try FileSystem.makeFolder(configuration.spoolFolder, mode: 0o700)
            try FileSystem.makeFolder(folder, mode: 0o700)
            let path = "\(folder)/\(unsafeSegments[index].fileName)"
            try Spool.write(unsafeSegments[index].bytes, to: path)
            unsafeSegments[index].spoolPath = path
            if case .memory = unsafeSegments[index].bytes {
                let file = try SpoolFile(existing: path)
                queue.moveToFile(unsafeSegments[index].id, file)
                unsafeSegments[index].bytes = .file(file)
            }
            madeFiles = true
        }
        guard madeFiles else { return }
        try checkSpool()
        try FileSystem.synchronizeFolder(folder)
        if let last = unsafeSegments.last { pins.rules.makeSafe(last.point) }
    }
}

extension Follower {
    /// Bytes that only the spool has.
    var spooledBytes: Int64 {
        unsafeSegments.reduce(0) { $0 + ($1.spoolPath == nil ? 0 : $1.bytes.byteCount) }
    }

    /// Raises an alarm when the spool has become too large, or gives up.
    private func checkSpool() throws {
        let reason = configuration.outage.reasonToStop(
            waiting: spooledBytes,
            near: configuration.databasePath
        )
        defer { isSpoolOver = reason != nil }
        guard let reason else { return }
        if configuration.outage.choice == .protectApplication {
            throw ReplicationError(
                .backlogTooLarge,
                "'\(configuration.databasePath)' is let go of, so that its disk does not fill up: "
                    + "\(reason). When the store is back, commits since "
                    + "\(durableTXID.map { "\($0)" } ?? "the beginning") are stored as one"
            )
        }
        guard !isSpoolOver else { return }
        log(
            .error,
            "the spool is over its limit and goes on growing",
            [
                ("database", configuration.databasePath), ("reason", reason),
                ("remedy", "bring the store back, or make room on the database's disk"),
            ]
        )
    }
}

/// Files of segments that had to be safe before the store had them.
enum Spool {
    /// Writes and syncs one.
    static func write(_ bytes: SegmentBytes, to path: String) throws {
        let file = try FileDescriptor(path: path, flags: 0o1 | 0o100 | 0o1000, mode: 0o600)
        switch bytes {
        case .memory(let bytes): try file.write(bytes, at: 0)
        case .file(let source):
            var offset: Int64 = 0
            while offset < source.byteCount {
                let chunk = try source.read(at: offset, count: 1 << 20)
                try file.write(chunk, at: offset)
                offset += Int64(chunk.count)
            }
        }
        try file.synchronizeData()
    }
}
