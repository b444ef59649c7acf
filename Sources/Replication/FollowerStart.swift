import Bytes
import Glibc
import Hazards
import Platform
import SQLiteAccess
import SegmentFormat
import WALFormat

/// Attaching to a database and deciding how its history goes on (DESIGN §7).
struct FollowerStart {
    let path: String
    let displayPath: String
    let writer: WriterTag
    let owner: String
    let version: String
    let local: LocalState
    let syncInterval: Int64
    var alarm = HazardAlarm()

    /// Attaches, and either goes on in the tip's generation or begins a new one with a snapshot.
    func follower(
        tip: StoreTip?,
        queue: UploadQueue,
        signal: FollowerSignal,
        log: @escaping ReplicationLog
    ) throws -> Follower {
        let attachment = try Attachment(path: path, mayCheckpoint: !alarm.isFatal)
        var wal = try WALFile(path: path + "-wal", pageSize: attachment.pageSize)
        let state = try PinnedState(
            index: attachment.index,
            header: attachment.header,
            pageSize: attachment.pageSize
        )
        try verifyWAL(&wal, attachment.header)
        let resumed = try tip.flatMap {
            try resume($0, attachment: attachment, state: state, wal: &wal)
        }
        var configuration = FollowerConfiguration(
            databasePath: path,
            generation: resumed?.generation
                ?? GenerationID(time: .now, random: UInt32(truncatingIfNeeded: Chance.bits())),
            writer: writer,
            spoolFolder: local.spoolFolder
        )
        configuration.syncInterval = syncInterval
        configuration.alarm = alarm
        try local.clearSpool()
        report(resumed, tip: tip, log: log)
        let digest = try resumed == nil ? state.digest(wal: &wal) : .zero
        let follower = Follower(
            attachment: attachment,
            wal: wal,
            start: resumed?.start
                ?? Follower.Start(
                    position: attachment.header.position,
                    txid: TXID(1),
                    time: .now,
                    link: nil,
                    pageCount: state.pageCount,
                    digest: digest,
                    proven: nil
                ),
            configuration: configuration,
            queue: queue,
            signal: signal,
            log: log
        )
        if resumed == nil {
            let record = try generationRecord(configuration.generation, attachment: attachment)
            follower.push(path: "generation.json", body: .bytes(.memory(record)))
            try follower.startSnapshot(state, digest: digest)
        }
        return follower
    }

    private func report(_ resumed: Resumed?, tip: StoreTip?, log: ReplicationLog) {
        if let resumed {
            log(
                .info,
                "resuming",
                [
                    ("generation", "\(resumed.generation)"), ("txid", "\(resumed.start.txid)"),
                    ("by", resumed.reason),
                ]
            )
        } else if let tip {
            log(
                .warning,
                "the store's last commit is not found in the database: a new generation begins",
                [
                    ("old_generation", "\(tip.generation)"), ("old_txid", "\(tip.resume.txid)"),
                    ("lost", "commits made while no agent ran cannot be restored one by one"),
                ]
            )
        }
    }

    /// The chain of checksums must lead from the WAL's header to what the WAL-index says.
    private func verifyWAL(_ wal: inout WALFile, _ header: WALIndexHeader) throws {
        guard header.mxFrame > 0 else { return }
        let start = WALPosition(salts: header.salts, frame: 0, checksum: .zero)
        let commits: [WALFile.CommitBoundary]
        do {
            commits = try wal.verify(
                after: start,
                through: header.mxFrame,
                bigEndian: header.hasBigEndianChecksums
            )
        } catch let error as WALError {
            // A writer may reset the WAL while we attach on lock 0; the next look finds it whole.
            throw ReplicationError(.hazard, "the WAL of '\(path)' does not verify: \(error)")
        }
        guard commits.last?.checksum == header.frameChecksum else {
            throw ReplicationError(.hazard, "the WAL of '\(path)' does not match its WAL-index")
        }
    }

    private struct Resumed {
        var generation: GenerationID
        var start: Follower.Start
        var reason: String
    }

    /// DESIGN §7, cases 1 and 2: the store's WAL position is in the WAL, or the state's digest is
    /// the recorded one.
    private func resume(
        _ tip: StoreTip,
        attachment: Attachment,
        state: PinnedState,
        wal: inout WALFile
    ) throws -> Resumed? {
        let resume = tip.resume
        guard resume.pageSize == attachment.pageSize else { return nil }
        let header = attachment.header
        if let position = resume.position, position.salts == header.salts, position.frame > 0,
            position.frame <= header.mxFrame,
            let frame = try wal.frameHeader(position.frame), frame.salts == position.salts,
            frame.checksum == position.checksum
        {
            // The pre-images of the frames after it may be gone from the file; at the pin's place
            // the digest is known again, from reading everything.
            let isBehind = position.frame < header.mxFrame
            return Resumed(
                generation: tip.generation,
                start: Follower.Start(
                    position: position,
                    txid: resume.txid,
                    time: resume.time,
                    link: resume.link,
                    pageCount: resume.pageCount,
                    digest: resume.digest,
                    proven: isBehind ? (header.mxFrame, try state.digest(wal: &wal)) : nil
                ),
                reason: "WAL position"
            )
        }
        guard let digest = resume.digest, resume.pageCount == state.pageCount,
            try state.digest(wal: &wal) == digest
        else { return nil }
        return Resumed(
            generation: tip.generation,
            start: Follower.Start(
                position: header.position,
                txid: resume.txid,
                time: resume.time,
                link: resume.link,
                pageCount: resume.pageCount,
                digest: digest,
                proven: nil
            ),
            reason: "database digest"
        )
    }
}
