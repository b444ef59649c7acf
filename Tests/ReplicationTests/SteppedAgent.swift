import Bytes
import Glibc
import Platform
import SQLiteAccess
import SegmentFormat

@testable import Replication

/// A follower that a test steps by hand, in the test's own process: SQLite keeps the locks of
/// connections of one process apart as those of two. What it uploads is taken at once.
final class SteppedAgent {
    let follower: Follower
    let lanes: UploadLanes

    init(path: String) throws {
        let signal = FollowerSignal(id: 0) {}
        lanes = UploadLanes(signal: signal, memory: MemoryBudget(limit: 64 << 20))
        let start = FollowerStart(
            path: path,
            displayPath: path,
            writer: WriterTag(1),
            version: "test",
            local: LocalState(databasePath: path),
            syncInterval: 0,
            log: { _, _, _ in }
        )
        _ = try start.open()
        _ = try start.attach(tip: nil)
        _ = try start.decide(index: nil, restored: nil)
        follower = try start.follower(lanes: lanes, signal: signal)
    }

    /// Ends the upload queue.
    func end() { lanes.close() }

    /// Steps and takes uploads; how often it stepped.
    func step(times: Int) throws -> Int {
        for _ in 0..<times {
            try follower.step()
            takeUploads()
        }
        return times
    }

    /// Steps until every commit is durable and nothing is left to move.
    func settle() throws {
        let deadline = MonotonicTime.now + 10 * Nanoseconds.second
        while MonotonicTime.now < deadline {
            _ = try step(times: 5)
            let rules = follower.pins.rules
            if follower.snapshot == nil, follower.batch == nil, follower.unsafeSegments.isEmpty,
                rules.safe == rules.copied, !rules.isHandshakeDue
            {
                return
            }
        }
        throw NotSettled()
    }

    struct NotSettled: Error {}

    private func takeUploads() {
        for queue in [lanes.log, lanes.snapshots] {
            while let item = queue.first {
                if case .stream(let channel) = item.body, !channel.drain() { break }
                queue.arrived(item)
            }
        }
    }
}
