import Bytes
import Configuration
import Platform

/// What verifications of one database's backup at one place came to.
struct VerificationRecord: Sendable {
    /// What a verification came to.
    enum Result: String, Sendable, CaseIterable {
        /// Nothing is wrong.
        case ok
        /// Something is missing, damaged or in doubt.
        case doubt
        /// It could not be made: the store did not answer, the disk was full.
        case failed
    }

    /// When the schedule began.
    let since: Timestamp
    /// When the last one ended without any doubt.
    var verifiedAt: Timestamp?
    /// How much the last one found; nil before it.
    var findings: Int?
    /// How long the last one took, in seconds.
    var seconds: Double?
    /// How many there were.
    var runs: [Result: UInt64] = [:]

    /// A record of none.
    init(since: Timestamp) { self.since = since }

    /// One ended after `seconds`.
    mutating func add(findings count: Int, at time: Timestamp, seconds: Double) {
        findings = count
        self.seconds = seconds
        if count == 0 { verifiedAt = time }
        runs[count == 0 ? .ok : .doubt, default: 0] += 1
    }

    /// One could not be made.
    mutating func addFailure() { runs[.failed, default: 0] += 1 }

    /// By when the next one without doubt should have ended, in seconds since 1970: the schedule
    /// runs from end to beginning, and a second interval leaves room for others that come first.
    func due(_ settings: VerifySettings) -> Double {
        Double((verifiedAt ?? since).milliseconds) / 1000 + Double(settings.interval) / 1e9 * 2
            + (seconds ?? 0)
    }
}
