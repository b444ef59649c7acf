import Bytes
import Testing

@testable import Replication
@testable import WALFormat

/// The rules of DESIGN §4, each as a history that breaks when the rule is taken out.
@Suite struct PinProtocolTests {
    private let salts = WALSalts(salt1: 1, salt2: 2)
    private let newSalts = WALSalts(salt1: 2, salt2: 9)

    private func header(_ frame: FrameIndex, _ salts: WALSalts? = nil) -> WALIndexHeader {
        WALIndexHeader(mxFrame: frame, salts: salts ?? self.salts)
    }

    private func mayDrop(_ rules: PinProtocol) -> Bool {
        if rules.permitToDropOlder() != nil { return true }
        return false
    }

    private func following(_ frame: FrameIndex, onMark: Bool = false) -> PinProtocol {
        PinProtocol(header: header(frame), isOnMark: onMark, resumedAt: frame)
    }

    @Test func `the older pin stays until everything up to the newer one is copied and safe`() {
        var rules = following(10)
        let isTaken1 = rules.tookNewer(before: header(12), after: header(12), backfilled: 0)
        #expect(isTaken1)
        #expect(!mayDrop(rules), "nothing is copied yet")
        rules.copy(to: 12)
        #expect(!mayDrop(rules), "copied, but not safe")
        rules.makeSafe(rules.copied)
        guard let permit = rules.permitToDropOlder() else {
            Issue.record("copied and safe, and yet no permit")
            return
        }
        rules.droppedOlder(permit)
        #expect(rules.older.point.frame == 12)
        #expect(rules.newer == nil)
    }

    @Test func `commits between BEGIN and the look after it count as if the pin covered them`() {
        var rules = following(10)
        let isTaken2 = rules.tookNewer(before: header(12), after: header(15), backfilled: 0)
        #expect(isTaken2)
        rules.copy(to: 12)
        rules.makeSafe(rules.copied)
        #expect(!mayDrop(rules))
    }

    @Test func `a pin taken across a reset is given back`() {
        var rules = following(10)
        let isTaken3 = rules.tookNewer(
            before: header(10),
            after: header(2, newSalts),
            backfilled: 0
        )
        #expect(!isTaken3)
        #expect(rules.newer == nil)
    }

    @Test func `a reset under a read mark is a hazard`() {
        var rules = following(10, onMark: true)
        guard case .broken = rules.observe(header(0, newSalts)) else {
            Issue.record("the reset was accepted")
            return
        }
    }

    @Test func `a reset beyond the resume point is not continuous`() {
        var rules = PinProtocol(header: header(10), isOnMark: false, resumedAt: 4)
        guard case .broken = rules.observe(header(0, newSalts)) else {
            Issue.record("frames 5 to 10 were lost without a word")
            return
        }
    }

    @Test func `a reset after frames were appended past lock 0 is not continuous`() {
        var rules = following(10)
        let observation4 = rules.observe(header(12))
        #expect(observation4 == .appended)
        rules.copy(to: 12)
        rules.makeSafe(rules.copied)
        guard case .broken = rules.observe(header(0, newSalts)) else {
            Issue.record("lock 0 at frame 10 forbids this")
            return
        }
    }

    @Test func `leaving lock 0 after a reset by a writer needs a PASSIVE after the new salts`() {
        var rules = following(10)
        let observation5 = rules.observe(header(3, newSalts))
        #expect(observation5 == .reset)
        #expect(rules.isHandshakeDue)
        rules.copy(to: 3)
        rules.makeSafe(rules.copied)
        let isTaken6 = rules.tookNewer(
            before: header(3, newSalts),
            after: header(3, newSalts),
            backfilled: 0
        )
        #expect(isTaken6)
        #expect(!mayDrop(rules))
        rules.passiveReturned(saltsBefore: salts)
        #expect(!mayDrop(rules), "that PASSIVE began before the reset")
        rules.passiveReturned(saltsBefore: newSalts)
        #expect(mayDrop(rules))
    }

    @Test func `our own reset needs no handshake, even when the next writer draws new salts`() {
        var rules = following(10)
        rules.ownReset(header(0, newSalts))
        #expect(!rules.isHandshakeDue)
        let observation7 = rules.observe(header(0, newSalts))
        #expect(observation7 == .unchanged)
        let observation8 = rules.observe(header(5, WALSalts(salt1: 77, salt2: 78)))
        #expect(observation8 == .reset)
        #expect(!rules.isHandshakeDue)
        let observation9 = rules.observe(header(5, WALSalts(salt1: 77, salt2: 78)))
        #expect(observation9 == .appended)
    }

    @Test func `a frame number that goes back without new salts is a hazard`() {
        var rules = following(10)
        guard case .broken = rules.observe(header(9)) else {
            Issue.record("mxFrame went back")
            return
        }
    }

    @Test func `the file is read only while no checkpoint can be ahead of it`() {
        let rules = following(10)
        #expect(
            rules.isFileReadable(asOf: 10, CheckpointInfo(nBackfill: 3, nBackfillAttempted: 10))
        )
        #expect(
            !rules.isFileReadable(asOf: 10, CheckpointInfo(nBackfill: 3, nBackfillAttempted: 11))
        )
        #expect(!rules.isFileReadable(asOf: 9, CheckpointInfo(nBackfill: 3, nBackfillAttempted: 3)))
    }

    @Test func `what is safe in an older life of the WAL stays safe after its reset`() {
        var rules = following(10)
        let observation10 = rules.observe(header(0, newSalts))
        #expect(observation10 == .reset)
        #expect(rules.safe == rules.copied)
        #expect(rules.safe.epoch == 1)
    }
}
