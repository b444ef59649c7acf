package import Bytes
package import WALFormat

/// The decisions of DESIGN §4: when a pin may be taken, what may be read under it, and when the
/// older one may go. No I/O; the caller performs the steps and reports what it saw.
///
/// Invariants, of which `DropPermit` is the only key to breaking none:
/// - there is always an older pin, and never more than one newer one;
/// - older.point ≤ safe ≤ copied, once the older pin was taken by leaping;
/// - the salts change only while the older pin may rest on lock 0, and then exactly at its point;
/// - nobody leaves lock 0 after a reset that was not our own without a PASSIVE that returned OK
///   after the change of salts (§4.4).
package struct PinProtocol: Hashable, Sendable {
    /// A place in the history that is being followed: which life of the WAL, and a frame in it.
    package struct Point: Hashable, Comparable, Sendable {
        /// Counts the resets seen since attaching.
        package var epoch: UInt32
        /// A frame of that life.
        package var frame: FrameIndex

        package static func < (a: Point, b: Point) -> Bool {
            (a.epoch, a.frame) < (b.epoch, b.frame)
        }
    }

    /// Where a pin landed: an upper bound, since commits may come between BEGIN and our look.
    package struct Landing: Hashable, Sendable {
        /// The last commit that the pin may have landed on.
        package var point: Point
        /// True when the pin cannot rest on lock 0; false when it is not known (assume the worse).
        package var isOnMark: Bool
    }

    /// The right to drop the older pin, once. Only `permitToDropOlder` makes one.
    package struct DropPermit: ~Copyable, Sendable {
        fileprivate init() {}
    }

    /// What a look at the WAL-index means.
    package enum Observation: Hashable, Sendable {
        /// Nothing new.
        case unchanged
        /// Commits end at the header's last frame.
        case appended
        /// The WAL was reset exactly at the copied position; the header may already hold commits.
        case reset
        /// Something that cannot happen while our locks are respected: continuity is not proven.
        case broken(String)
    }

    /// The pin that is always held.
    package private(set) var older: Landing
    /// The pin that will take its place.
    package private(set) var newer: Landing?
    /// Frames read, and their commits encoded.
    package private(set) var copied: Point
    /// Commits durable in the store or fsynced in the spool.
    package private(set) var safe: Point
    /// The salts of the current epoch.
    package private(set) var salts: WALSalts
    /// A PASSIVE that returns OK is needed before the older pin may go.
    package private(set) var isHandshakeDue = false
    /// The WAL is empty because of our own TRUNCATE, and nothing was committed since.
    package private(set) var restsAfterOwnReset = false

    /// Begins after DESIGN §4.0: the second pin is held at `landing`; everything up to
    /// `resumedAt` is in the store already.
    package init(header: WALIndexHeader, isOnMark: Bool, resumedAt: FrameIndex) {
        salts = header.salts
        older = Landing(point: Point(epoch: 0, frame: header.mxFrame), isOnMark: isOnMark)
        copied = Point(epoch: 0, frame: resumedAt)
        safe = copied
    }

    /// Takes note of a look at the WAL-index.
    package mutating func observe(_ header: WALIndexHeader) -> Observation {
        if header.salts == salts {
            if header.mxFrame < copied.frame {
                return .broken("mxFrame went back from \(copied.frame) to \(header.mxFrame)")
            }
            return header.mxFrame == copied.frame ? .unchanged : .appended
        }
        if older.isOnMark {
            return .broken("the WAL was reset although a read mark was held")
        }
        if copied != older.point {
            return .broken("the WAL was reset before everything in it was copied")
        }
        if safe < copied {
            return .broken("the WAL was reset before everything in it was safe")
        }
        // After our own TRUNCATE the first writer may draw new salts (wal.c walWriteFrames,
        // nCkpt==0). Nobody can have read the header before our reset and act after it, since we
        // held CKPT; so no handshake is due.
        isHandshakeDue = isHandshakeDue || !(restsAfterOwnReset && copied.frame == 0)
        restsAfterOwnReset = false
        startEpoch(header.salts)
        return .reset
    }

    private mutating func startEpoch(_ salts: WALSalts) {
        self.salts = salts
        copied = Point(epoch: copied.epoch + 1, frame: 0)
        safe = copied
        older = Landing(point: copied, isOnMark: false)
        newer = nil
    }

    /// Takes note of a newer pin. `before` and `after` are looks around its BEGIN. False: it cannot
    /// be told where it landed, give it back.
    package mutating func tookNewer(
        before: WALIndexHeader,
        after: WALIndexHeader,
        backfilled: FrameIndex
    ) -> Bool {
        precondition(newer == nil, "never more than two pins")
        guard before.salts == salts, after.salts == salts else { return false }
        newer = Landing(
            point: Point(epoch: copied.epoch, frame: after.mxFrame),
            // nBackfill only grows within a life of the WAL: still short of the first look's
            // mxFrame after BEGIN, it was short then, and lock 0 was not to be had.
            isOnMark: backfilled < before.mxFrame
        )
        return true
    }

    /// The newer pin was given back without being used.
    package mutating func gaveNewerBack() { newer = nil }

    /// Every commit up to `frame` of this epoch has been copied.
    package mutating func copy(to frame: FrameIndex) {
        precondition(frame >= copied.frame, "copying goes forward")
        copied.frame = frame
        restsAfterOwnReset = false
    }

    /// Every commit up to `point` is durable or in the spool.
    package mutating func makeSafe(_ point: Point) {
        precondition(point <= copied, "what was not copied cannot be safe")
        if point > safe { safe = point }
    }

    /// A PASSIVE checkpoint returned OK; `salts` were the WAL-index's before the call.
    package mutating func passiveReturned(saltsBefore: WALSalts) {
        if saltsBefore == salts { isHandshakeDue = false }
    }

    /// Permission to drop the older pin, when the rules of §4.1 and §4.4 allow it.
    package func permitToDropOlder() -> DropPermit? {
        guard let newer, newer.point.epoch == copied.epoch, !isHandshakeDue,
            copied >= newer.point, safe >= newer.point
        else { return nil }
        return DropPermit()
    }

    /// The older pin was dropped; the newer one takes its place.
    package mutating func droppedOlder(_ permit: consuming DropPermit) {
        guard let newer else { preconditionFailure("a permit implies a newer pin") }
        older = newer
        self.newer = nil
    }

    /// Our TRUNCATE reset the WAL while the older pin rested on lock 0.
    package mutating func ownReset(_ header: WALIndexHeader) {
        precondition(copied == safe && copied == older.point, "only what is safe may be reset")
        startEpoch(header.salts)
        isHandshakeDue = false
        restsAfterOwnReset = true
    }

    /// True when the database file still holds, for a page without a frame at or below `frame`,
    /// its content as of `frame` (§5, pre-images): a pin at or below it is held, and no checkpoint
    /// has begun to copy beyond it.
    package func isFileReadable(asOf frame: FrameIndex, _ info: CheckpointInfo) -> Bool {
        older.point.epoch == copied.epoch && older.point.frame <= frame
            && info.nBackfillAttempted <= frame
    }
}
