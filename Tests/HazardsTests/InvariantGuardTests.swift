import Bytes
import Testing
import WALFormat

@testable import Hazards

@Suite struct InvariantGuardTests {
    private let salts = WALSalts(salt1: 1, salt2: 2)

    /// A consistent look at a WAL of ten frames.
    private func sample(
        backfilled: UInt32 = 5,
        attempted: UInt32 = 5,
        change: (inout IndexSample) -> Void = { _ in }
    ) -> IndexSample {
        var sample = IndexSample(header: Samples.header(mxFrame: 10, pages: 3), isStable: true)
        sample.checkpoint = CheckpointInfo(nBackfill: backfilled, nBackfillAttempted: attempted)
        sample.walSalts = salts
        sample.lastFrame = Samples.frame(salts: salts, checksum: 77, pages: 3)
        sample.databaseBytes = 3 * 4096
        sample.sharedMemory = .init(inode: 9, bytes: 32768)
        change(&sample)
        return sample
    }

    @Test func `a consistent look is quiet`() {
        var monitor = InvariantGuard(database: "app.db")
        for _ in 0..<10 { #expect(monitor.poll(sample()) == .quiet) }
        #expect(InvariantGuard.violation(in: sample(backfilled: 10, attempted: 10)) == nil)
    }

    @Test func `each broken invariant is named`() {
        let cases: [(InvariantViolation, IndexSample)] = [
            (.indexUnreadable, sample { $0.header = nil }),
            (.saltsDiffer, sample { $0.walSalts = WALSalts(salt1: 1, salt2: 3) }),
            (.walTooShort, sample { $0.lastFrame = nil }),
            (.walTooShort, sample { $0.walSalts = nil }),
            (
                .frameDiffers,
                sample { $0.lastFrame = Samples.frame(salts: salts, checksum: 78, pages: 3) }
            ),
            (
                .frameDiffers,
                sample { $0.lastFrame = Samples.frame(salts: salts, checksum: 77, pages: 0) }
            ),
            (.backfillBeyondEnd, sample(backfilled: 11, attempted: 11)),
            (.backfillBeyondEnd, sample(backfilled: 5, attempted: 257)),
            (
                .fileTooShort,
                sample(backfilled: 10, attempted: 10) { $0.databaseBytes = 2 * 4096 }
            ),
        ]
        for (violation, sample) in cases {
            #expect(InvariantGuard.violation(in: sample) == violation)
        }
    }

    @Test func `frames without salts and checksum, and longer files, are no violation`() {
        let zero = WALSalts(salt1: 0, salt2: 0)
        let unchecked = sample { $0.lastFrame = Samples.frame(salts: zero, checksum: 0, pages: 3) }
        #expect(InvariantGuard.violation(in: unchecked) == nil)
        let chunked = sample(backfilled: 10, attempted: 10) { $0.databaseBytes = 1 << 20 }
        #expect(InvariantGuard.violation(in: chunked) == nil)
    }

    @Test func `an empty WAL proves nothing`() {
        var empty = IndexSample(header: Samples.header(mxFrame: 0, pages: 3), isStable: true)
        empty.checkpoint = CheckpointInfo(nBackfill: 0, nBackfillAttempted: 0)
        #expect(InvariantGuard.violation(in: empty) == nil)
    }

    @Test func `a violation has to be seen several times and under the write lock`() {
        var monitor = InvariantGuard(database: "app.db")
        let bad = sample { $0.walSalts = WALSalts(salt1: 8, salt2: 8) }
        #expect(monitor.poll(bad) == .suspicious(.saltsDiffer))
        #expect(monitor.poll(sample()) == .quiet)
        #expect(!monitor.isSuspicious)
        #expect(monitor.poll(bad) == .suspicious(.saltsDiffer))
        #expect(monitor.poll(bad) == .suspicious(.saltsDiffer))
        #expect(monitor.poll(bad) == .verify(.saltsDiffer))
        // Under the write lock all was well: a writer was at work.
        #expect(monitor.verified(sample()) == .quiet)
        for _ in 0..<2 { _ = monitor.poll(bad) }
        #expect(monitor.poll(bad) == .verify(.saltsDiffer))
        guard case .alarm(let finding) = monitor.verified(bad) else {
            Issue.record("no alarm")
            return
        }
        #expect(finding.verdict == .fatal)
        #expect(finding.code == .walIndex)
        #expect(finding.message.contains("app.db"))
        // Once is enough.
        for _ in 0..<5 { #expect(monitor.poll(bad) == .quiet) }
    }

    @Test func `a look at a header that moved proves nothing, and forgets nothing`() {
        var monitor = InvariantGuard(database: "app.db")
        let bad = sample { $0.walSalts = WALSalts(salt1: 8, salt2: 8) }
        _ = monitor.poll(bad)
        #expect(monitor.poll(sample { $0.isStable = false }) == .quiet)
        _ = monitor.poll(bad)
        #expect(monitor.poll(bad) == .verify(.saltsDiffer))
    }

    @Test func `without the write lock the alarm comes late and is not fatal`() {
        var monitor = InvariantGuard(database: "app.db")
        let bad = sample(backfilled: 11, attempted: 11)
        for _ in 0..<3 { _ = monitor.poll(bad) }
        for _ in 1..<Limits.verificationAttempts {
            #expect(monitor.couldNotVerify() == .suspicious(.backfillBeyondEnd))
        }
        guard case .alarm(let finding) = monitor.couldNotVerify() else {
            Issue.record("no alarm")
            return
        }
        #expect(finding.verdict == .high)
        #expect(finding.code == .walReset)
    }

    @Test func `damage that SQLite itself finds needs no write lock`() {
        var monitor = InvariantGuard(database: "app.db")
        #expect(monitor.refused("SQLite 26") == .quiet)
        let bad = sample { $0.lastFrame = nil }
        for _ in 0..<3 { _ = monitor.poll(bad) }
        guard case .alarm(let finding) = monitor.refused("SQLite 26") else {
            Issue.record("no alarm")
            return
        }
        #expect(finding.verdict == .fatal)
        #expect(finding.message.contains("SQLite 26"))
    }

    @Test func `shared memory that shrinks or is replaced is seen`() {
        for (inode, bytes) in [(UInt64(9), Int64(3)), (10, 32768)] {
            var monitor = InvariantGuard(database: "app.db")
            #expect(monitor.poll(sample()) == .quiet)
            let bad = sample { $0.sharedMemory = .init(inode: inode, bytes: bytes) }
            #expect(monitor.poll(bad) == .suspicious(.sharedMemoryReplaced))
        }
        var monitor = InvariantGuard(database: "app.db")
        #expect(monitor.poll(sample()) == .quiet)
        #expect(monitor.poll(sample { $0.sharedMemory = .init(inode: 9, bytes: 65536) }) == .quiet)
        #expect(monitor.poll(sample { $0.sharedMemory = nil }) != .quiet)
    }

    @Test func `an alarm keeps the worst of each kind`() {
        let alarm = HazardAlarm()
        #expect(!alarm.raise(Finding(.fileSystem, .ok, "fine")))
        #expect(alarm.raise(Finding(.walIndex, .high, "a")))
        #expect(!alarm.raise(Finding(.walIndex, .warn, "b")))
        #expect(!alarm.isFatal)
        #expect(alarm.raise(Finding(.walIndex, .fatal, "c")))
        #expect(alarm.isFatal)
        #expect(alarm.findings.map(\.message) == ["c"])
    }
}

/// WAL structures of a test's choosing, made as SQLite writes them.
enum Samples {
    static func header(mxFrame: UInt32, pages: UInt32) -> WALIndexHeader? {
        var words = [UInt32](repeating: 0, count: 24)
        words[0] = 3_007_000
        words[2] = 5
        // isInit, bigEndCksum, szPage.
        words[3] = 1 | 4096 << 16
        words[4] = mxFrame
        words[5] = pages
        words[6] = 77
        words[7] = 77
        words[8] = UInt32(1).bigEndian
        words[9] = UInt32(2).bigEndian
        var sum = WALChecksum.zero
        words[0..<10].withUnsafeBytes { sum.add(UnsafeRawBufferPointer($0), bigEndian: false) }
        words[10] = sum.first
        words[11] = sum.second
        for index in 0..<12 { words[12 + index] = words[index] }
        return words.withUnsafeBytes { WALIndexHeader(copies: UnsafeRawBufferPointer($0)) }
    }

    static func frame(salts: WALSalts, checksum: UInt32, pages: UInt32) -> FrameHeader {
        let words = [1, pages, salts.salt1, salts.salt2, checksum, checksum].map(\.bigEndian)
        return words.withUnsafeBytes { FrameHeader(UnsafeRawBufferPointer($0)) }
    }
}
