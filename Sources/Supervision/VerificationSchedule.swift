import Platform
import Replication

/// When the backup of one database at one place is verified: first at a random moment of the first
/// interval, so that databases which begin together spread out, then an interval after the last
/// time. All schedules of a process share a gate that lets one in at a time.
struct VerificationSchedule: Sendable {
    /// What became of an attempt.
    enum Attempt: Sendable {
        /// The backup was verified, with whatever result.
        case done
        /// It could not be, and is tried again soon.
        case later
    }

    /// Between two verifications, in nanoseconds.
    let interval: Int64
    /// Lets one in at a time.
    let gate: TaskGate

    /// Calls `verify` again and again until a stop is requested. It ends early itself then.
    func run(until stop: StopRequest, _ verify: @Sendable () async -> Attempt) async {
        var pause = Int64(Chance.bits() % UInt64(max(1, interval)))
        while !stop.isRequested, !Task.isCancelled {
            await stop.pause(nanoseconds: pause)
            guard await gate.acquire(until: stop) else { return }
            let attempt = await verify()
            gate.release()
            switch attempt {
            case .done: pause = interval
            case .later: pause = min(interval, SupervisionLimits.verificationRetryPause)
            }
        }
    }
}
