import Bytes
import Maintenance
import Platform
import SegmentFormat
import WALFormat

/// A level being written: the pages that changed in its window, as of the state under our pin.
final class LevelJob {
    let candidate: LevelWindows.Candidate
    let state: PinnedState
    let position: WALPosition
    private let encoder: LevelEncoder
    private var changes: ArraySlice<ChangedPages.Change>
    private var output: SegmentOutput
    private let page: UnsafeMutableRawBufferPointer

    private static let drainBytes = 1024 * 1024

    /// Nil when the window cannot be proven.
    init?(
        _ candidate: LevelWindows.Candidate,
        state: PinnedState,
        position: WALPosition,
        configuration: FollowerConfiguration
    ) throws {
        let window = candidate.changes
        guard let changes = window.changes, let before = window.start.digest,
            let after = window.end.digest, let first = window.firstTime, let last = window.lastTime
        else { return nil }
        self.candidate = candidate
        self.state = state
        self.position = position
        self.changes = changes[...]
        output = SegmentOutput(spoolFolder: configuration.spoolFolder)
        encoder = try LevelEncoder(
            header: SegmentHeader(
                kind: .level,
                level: candidate.level,
                pageSize: state.pageSize,
                minTXID: window.start.txid.next,
                writer: configuration.writer,
                digestBefore: before,
                pageCountBefore: window.start.pageCount,
                generation: configuration.generation
            ),
            end: LevelEnd(
                txid: window.end.txid,
                digest: after,
                pageCount: window.end.pageCount,
                firstTime: first,
                lastTime: last,
                position: position
            )
        )
        page = .allocate(byteCount: state.pageSize.bytes, alignment: 16)
    }

    deinit { page.deallocate() }

    /// The object's path below its generation's folder.
    var path: String { encoder.name.path }

    /// How far a job has come.
    enum Progress {
        case goesOn
        /// It is not worth its bytes.
        case tooLong
        /// Its bytes, proven to be all that changed in the window.
        case ended(SegmentBytes)
    }

    /// Reads pages until the deadline.
    func produce(wal: WALFile, until deadline: MonotonicTime) throws -> Progress {
        while let change = changes.popFirst() {
            switch change {
            case .stored(let number, let hash):
                try state.read(number, wal: wal, into: page)
                try encoder.append(
                    page: number,
                    hashBefore: hash,
                    content: UnsafeRawBufferPointer(page)
                )
            case .removed(let number, let hash):
                try encoder.append(removed: number, hashBefore: hash)
            }
            if encoder.bufferedByteCount > Self.drainBytes {
                try output.append(encoder.takeOutput())
            }
            if output.byteCount > candidate.byteLimit { return .tooLong }
            if MonotonicTime.now >= deadline { return .goesOn }
        }
        _ = try encoder.finish()
        try output.append(encoder.takeOutput())
        return output.byteCount > candidate.byteLimit ? .tooLong : .ended(output.bytes)
    }
}

/// What a follower does about levels, one at a time.
struct LevelWork {
    /// What has changed; nil when no levels are wanted.
    var windows: LevelWindows?
    /// Windows that have ended with the state that is pinned and could be stored, highest first.
    var candidates: [LevelWindows.Candidate] = []
    /// The one that is being read. The pin stays meanwhile.
    var job: LevelJob?
    /// It has been read, and waits until the log that it stands for has arrived in the store.
    var finished: Finished?
    /// Its number in the lane of the snapshots, once it is on its way.
    var item: Int?
    var backOff = BackOff(first: Nanoseconds.second, most: 60 * Nanoseconds.second)

    struct Finished {
        let candidate: LevelWindows.Candidate
        let path: String
        let bytes: SegmentBytes
    }

    /// Of the shortest window; spreads the work of many databases.
    private static let delayShare: Int64 = 10

    init(policy: LevelPolicy?) {
        windows = policy.map { policy in
            let most = UInt64(max(1, (policy.periods.first ?? 0) / Self.delayShare))
            return LevelWindows(policy: policy, delay: Int64(Chance.bits() % most))
        }
    }

    var isWanted: Bool { windows != nil }

    /// Whether the next one may begin.
    var isIdle: Bool { job == nil && finished == nil }
}

extension Follower {
    /// How long pages are read before other work has its turn.
    private static let levelTurn = 4 * Nanoseconds.millisecond
    /// How long commits may be on their way to a store that counts as there.
    private static let levelStoreTime = 10 * Nanoseconds.second

    /// When there is something to do for levels.
    func levelTime(_ now: MonotonicTime) -> MonotonicTime? {
        if levels.job != nil { return now }
        guard levels.isIdle, hasBase, let end = levels.windows?.nextEnd else { return nil }
        let milliseconds = end.milliseconds - Timestamp.now.milliseconds
        let time = now + max(0, milliseconds) * Nanoseconds.millisecond
        return levels.backOff.next.map { max($0, time) } ?? time
    }

    /// Begins a level whose window has ended, once the older pin stands where everything is copied.
    func beginDueLevel() throws {
        let now = MonotonicTime.now
        guard levels.isIdle, snapshot == nil, hasBase, !isFinishing, mayCheckpoint,
            levels.backOff.isReady(now), let end = levels.windows?.nextEnd,
            Timestamp.now >= end
        else { return }
        // Without the store nothing is gained by one.
        if let first = unsafeSegments.first, now - first.since > Self.levelStoreTime {
            return levels.backOff.failed(now)
        }
        // Commits that keep coming are held up for a moment when it does not work without.
        var isThere = try standWhereEverythingIsCopied()
        if !isThere { _ = try underWriteLock { isThere = try standWhereEverythingIsCopied() } }
        guard isThere else { return levels.backOff.failed(now) }
        levels.backOff.succeeded()
        guard levels.windows?.last == txid else {
            levels.windows?.drop()
            return
        }
        levels.candidates = levels.windows?.close(at: .now) ?? []
        try beginLevel(
            of: PinnedState(
                index: index,
                position: position,
                pageSize: pageSize,
                pageCount: copier.pageCount
            ),
            at: position
        )
    }

    private func beginLevel(of state: PinnedState, at position: WALPosition) throws {
        levels.job = nil
        while levels.job == nil, !levels.candidates.isEmpty {
            levels.job = try LevelJob(
                levels.candidates.removeFirst(),
                state: state,
                position: position,
                configuration: configuration
            )
        }
    }

    /// Reads on in the level that is being written.
    func produceLevel() throws {
        guard let job = levels.job else { return }
        beforeLong?()
        do {
            switch try job.produce(wal: wal, until: MonotonicTime.now + Self.levelTurn) {
            case .goesOn: break
            case .tooLong: try beginLevel(of: job.state, at: job.position)
            case .ended(let bytes):
                levels.job = nil
                levels.finished = LevelWork.Finished(
                    candidate: job.candidate,
                    path: job.path,
                    bytes: bytes
                )
                collectLevel()
            }
        } catch let error as SegmentError {
            levels.job = nil
            levels.windows?.drop()
            log(
                .error,
                "a level is not proven to hold all that changed, and is left out; the log has it",
                [
                    ("database", configuration.databasePath), ("object", job.path),
                    ("error", "\(error)"),
                ]
            )
        }
    }

    /// Sends a level once the store has the log that it stands for, and takes note of its arrival.
    func collectLevel() {
        guard let finished = levels.finished else { return }
        guard let item = levels.item else {
            guard arrived >= finished.candidate.changes.end.txid else { return }
            levels.item = nextSnapshot
            snapshotQueue.push(
                UploadQueue.Item(
                    id: nextSnapshot,
                    path: "highwater-1/\(configuration.generation)/\(finished.path)",
                    body: .bytes(finished.bytes),
                    asksForClaims: true
                )
            )
            nextSnapshot += 1
            return
        }
        guard item <= snapshotQueue.durable else { return }
        levels.finished = nil
        levels.item = nil
        levels.windows?.stored(
            finished.candidate,
            byteCount: UInt64(finished.bytes.byteCount)
        )
        log(
            .debug,
            "level stored",
            [
                ("database", configuration.databasePath), ("object", finished.path),
                ("bytes", "\(finished.bytes.byteCount)"),
                ("spared_bytes", "\(finished.candidate.skippedBytes)"),
            ]
        )
    }
}
