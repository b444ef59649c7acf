import Bytes
import Platform
import SQLiteAccess
import SegmentFormat
import WALFormat

/// A snapshot on its way.
final class SnapshotJob {
    /// What becomes of its bytes.
    enum Sink {
        /// They wait on the local disk until all are there, so that it does not depend on the store
        /// how long a pin is held, and the snapshot can be taken in slices.
        case spool(SegmentOutput)
        /// They go to the store as they are read, where the disk has no room for them. The pin
        /// stays until the store has them.
        case stream(ChunkChannel)
    }

    /// A state that is read from, under a pin that stands there.
    struct Slice {
        let state: PinnedState
        let txid: TXID
        let time: Timestamp
        let position: WALPosition
        /// Nil when it is not known.
        let digest: DatabaseDigest?
    }

    /// Its number in the lane, once it is there.
    var id: Int?
    /// The slice that is read, or the last one.
    private(set) var slice: Slice
    /// Whether the older pin has to stay where it is.
    private(set) var isReading = true
    private(set) var isProduced = false
    /// When the slice began, and when it ended.
    private(set) var sliceBegan = MonotonicTime.now
    private(set) var sliceEnded = MonotonicTime.now
    private var sink: Sink
    private let encoder: SnapshotEncoder
    private let header: SegmentHeader
    private let page: UnsafeMutableRawBufferPointer
    private var pagesInSlice = 0

    private static let drainBytes = 2 * 1024 * 1024

    init(header: SegmentHeader, slice: Slice, sink: Sink) throws {
        self.header = header
        self.slice = slice
        self.sink = sink
        encoder = try SnapshotEncoder(
            header: header,
            time: slice.time,
            pageCount: slice.state.pageCount
        )
        page = .allocate(byteCount: slice.state.pageSize.bytes, alignment: 16)
    }

    deinit {
        page.deallocate()
        if !isProduced, case .stream(let channel) = sink { channel.cancel() }
    }

    /// Whether the bytes wait on the disk.
    var isSpooled: Bool {
        if case .spool = sink { true } else { false }
    }

    /// The object's path below its generation's folder. With slices it is known at the end.
    var path: String {
        SegmentName(
            kind: .snapshot,
            level: 0xff,
            minTXID: header.minTXID,
            maxTXID: slice.txid,
            time: slice.time,
            writer: header.writer
        ).path
    }

    /// What goes to the store: all bytes, or those that are still to come.
    var body: UploadQueue.Item.Body {
        switch sink {
        case .spool(let output): .bytes(output.bytes)
        case .stream(let channel): .stream(channel)
        }
    }

    /// Whether there is something to read now.
    var canRead: Bool {
        guard isReading, !isProduced else { return false }
        if case .stream(let channel) = sink { return channel.hasRoom }
        return true
    }

    /// The state of the slice from its beginning, in a snapshot of its own.
    func again(_ sink: Sink) throws -> SnapshotJob {
        try SnapshotJob(
            header: SegmentHeader(
                kind: .snapshot,
                level: 0xff,
                pageSize: header.pageSize,
                minTXID: slice.txid,
                writer: header.writer,
                link: nil,
                digestBefore: nil,
                pageCountBefore: 0,
                generation: header.generation
            ),
            slice: slice,
            sink: sink
        )
    }

    /// Reads pages until the deadline, or the pipe is full, or the snapshot ends.
    func produce(wal: WALFile, until deadline: MonotonicTime) throws {
        while canRead {
            guard let next = encoder.nextPage else { return try finish() }
            try slice.state.read(next, wal: wal, into: page)
            try encoder.append(page: next, content: UnsafeRawBufferPointer(page))
            pagesInSlice += 1
            if encoder.bufferedByteCount > Self.drainBytes { try drain(isFinished: false) }
            if MonotonicTime.now >= deadline { return }
        }
    }

    private func finish() throws {
        let finished = try encoder.finish(position: slice.position, slicedDigest: slice.digest)
        // The state's digest is known otherwise; the snapshot must have the same.
        guard slice.digest == nil || finished.footer.digestAfter == slice.digest else {
            throw ReplicationError(
                .hazard,
                "the database changed under the pin while its snapshot was read"
            )
        }
        try drain(isFinished: true)
        isProduced = true
        // A stream that breaks has to be read again.
        isReading = !isSpooled
    }

    private func drain(isFinished: Bool) throws {
        let bytes = encoder.takeOutput()
        switch sink {
        case .spool(var output):
            // Not held twice, or it would be copied.
            sink = .spool(SegmentOutput(spoolFolder: ""))
            try output.append(bytes)
            sink = .spool(output)
        case .stream(let channel): channel.push(bytes, finished: isFinished)
        }
    }

    /// Lets go of the pin for a while, if that is possible.
    func endSlice() {
        guard isSpooled, isReading, pagesInSlice > 0, encoder.nextPage != nil else { return }
        isReading = false
        sliceEnded = .now
    }

    /// Goes on with the pages as of a later commit. False when the database has shrunk below what
    /// was read: then it has to begin again.
    func begin(_ next: Slice) -> Bool {
        do throws(SegmentError) {
            try encoder.beginSlice(
                txid: next.txid,
                pageCount: next.state.pageCount,
                time: next.time
            )
        } catch {
            return false
        }
        slice = next
        pagesInSlice = 0
        sliceBegan = .now
        isReading = true
        return true
    }
}
