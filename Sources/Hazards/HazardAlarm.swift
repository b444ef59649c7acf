import Synchronization

/// The hazards of one database that were found since its agent started. Whoever checkpoints or
/// resets asks it first: after a fatal finding nobody may (DESIGN §9).
///
/// A finding stays until the process ends: a danger that has gone may come back unseen.
package final class HazardAlarm: Sendable {
    private let state = Mutex<[Finding.Code: Finding]>([:])

    /// An alarm that is silent.
    package init() {}

    /// Raises a finding. True when it is new, or worse than before, so that it has to be logged.
    @discardableResult
    package func raise(_ finding: Finding) -> Bool {
        guard finding.verdict > .ok else { return false }
        return state.withLock { findings in
            if let known = findings[finding.code], known.verdict >= finding.verdict { return false }
            findings[finding.code] = finding
            return true
        }
    }

    /// What was raised, worst first.
    package var findings: [Finding] {
        state.withLock { $0.values.sorted { $0.code.rawValue < $1.code.rawValue } }.worstFirst
    }

    /// True once something was fatal: no checkpoint, no reset.
    package var isFatal: Bool { state.withLock { $0.values.contains { $0.verdict == .fatal } } }
}
