import Synchronization

/// Lets no more databases be followed than the process may have files open for: those that are
/// followed must not run out of them in the middle of an upload or a checkpoint.
final class DescriptorBudget: Sendable {
    /// How many databases may be followed; at least one.
    let places: Int
    private let limit: UInt64
    private let taken = Mutex(0)

    /// A budget of `limit` descriptors, of which an eighth stays for work that comes and goes: at
    /// least as many as the process itself, its sockets and some checkpoints need.
    init(limit: UInt64) {
        self.limit = limit
        let spare = max(limit / 8, UInt64(Limits.descriptorsSpared))
        let rest = limit > spare ? Int(clamping: limit - spare) : 0
        places = max(1, rest / Limits.descriptorsPerDatabase)
    }

    /// Takes a place for a database.
    ///
    /// - Throws: `tooManyDatabases` when there is none.
    func take(for database: String) throws(ReplicationError) {
        let isTaken = taken.withLock { taken in
            guard taken < places else { return false }
            taken += 1
            return true
        }
        guard !isTaken else { return }
        throw ReplicationError(
            .tooManyDatabases,
            "'\(database)' is not backed up: this process may have \(limit) files open, which is "
                + "enough for \(places) databases, and follows as many; raise the limit "
                + "(LimitNOFILE= in the systemd unit, ulimit -n, --ulimit nofile= of docker run), "
                + "or let a second agent have some of them"
        )
    }

    /// Gives a place back.
    func giveBack() { taken.withLock { $0 -= 1 } }
}
