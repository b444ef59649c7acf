import BackupCatalog
import Bytes
import ObjectStorage
import Platform
import Synchronization

/// Who goes on writing a generation (DESIGN §7, docs/FORMAT.md §15): a claim before going on in
/// one, and now and then a look whether somebody claimed it after us, whether it is still there
/// (what is added to a generation that was deleted underneath us can never be restored), and
/// whether another agent stores into the same place.
final class Ownership: Sendable {
    private struct State {
        var generation: GenerationID?
        var number: UInt64 = 0
        /// Our claim, where the store cannot keep others from replacing it.
        var unguarded: WriterClaim?
        var rivals: RivalWatch?
        /// What it goes on from, as long as the store has nothing of it.
        var parent: GenerationRecord.Parent?
        /// Whether the store has its generation.json.
        var isStored = false
        var nextLook = MonotonicTime(nanoseconds: 0)
        /// Between the last look and the next one, in nanoseconds.
        var pause: Int64 = 0
        var refusal: UploadRefusal?
    }

    private let state = Mutex(State())
    private let catalog: Catalog
    private let interval: Int64
    private let newest: GenerationID?
    private let report: @Sendable (Generation) -> Void

    /// Nothing is claimed yet. While something is uploaded there is a look each `interval`
    /// nanoseconds, and more of them in the beginning. `newest` is the last generation that the
    /// store had; another agent's is told to `report` once.
    init(
        store: any ObjectStore,
        interval: Int64,
        newest: GenerationID? = nil,
        report: @Sendable @escaping (Generation) -> Void = { _ in }
    ) {
        catalog = Catalog(store: store)
        self.interval =
            store.looksCostNothing ? min(interval, Limits.claimLookIntervalFirst) : interval
        self.newest = newest
        self.report = report
    }

    /// Why nothing may be uploaded any more.
    var refusal: UploadRefusal? { state.withLock { $0.refusal } }

    /// The generation that is written; nil before `begin` or `claim`.
    var generation: GenerationID? { state.withLock { $0.generation } }

    /// The generation is new, and ours alone as long as nobody claims it.
    func begin(_ generation: GenerationID, parent: GenerationRecord.Parent?) {
        hold(generation, number: 0, isStored: false, parent: parent)
    }

    /// The store has generation.json of the generation that has begun.
    func recordArrived() { state.withLock { $0.isStored = true } }

    /// Claims a generation after everybody who did before.
    ///
    /// - Throws: `StoreError`; `CatalogError.forked` when others claim it faster than we do.
    func claim(_ generation: GenerationID, writer: WriterTag, after txid: TXID) async throws {
        let claim = WriterClaim(
            writer: writer,
            txid: txid,
            time: .now,
            host: HostName.current
        )
        for _ in 0..<Limits.claimAttempts {
            let last = try await catalog.claims(of: generation).last
            if let last, try await catalog.claim(last)?.closes == true {
                throw ReplicationError(
                    .superseded,
                    "generation \(generation) has been closed by maintenance; another one begins"
                )
            }
            let number = (last?.number ?? 0) + 1
            do throws(StoreError) {
                try await catalog.store.put(
                    try catalog.layout.claim(number, of: generation),
                    bytes: claim.encode(),
                    ifAbsent: true
                )
                let isGuarded = try await catalog.store.honoursIfAbsent()
                let unguarded = isGuarded ? nil : claim
                return hold(generation, number: number, isStored: true, unguarded: unguarded)
            } catch {
                switch error.code {
                case .preconditionFailed: continue
                case .unsupported:
                    // Without conditional writes the object is a best-effort alarm.
                    try await catalog.store.put(
                        try catalog.layout.claim(number, of: generation),
                        bytes: claim.encode()
                    )
                    return hold(generation, number: number, isStored: true, unguarded: claim)
                default: throw error
                }
            }
        }
        throw CatalogError(
            .forked,
            object: generation.text,
            "other agents claim the generation again and again; end all but one"
        )
    }

    /// Whether we may go on uploading. Asks the store when it is told to, or the last look is long
    /// enough ago; whether the generation is still there each time where that costs nothing.
    func mayUpload(asking: Bool = false) async throws -> Bool {
        let now = MonotonicTime.now
        let known = state.withLock { $0 }
        guard known.refusal == nil, let generation = known.generation else {
            return known.refusal == nil
        }
        let isDue = asking || now >= known.nextLook
        var refusal: UploadRefusal?
        if isDue, try await isSuperseded(generation, known) {
            refusal = .superseded
        } else if isDue || catalog.store.looksCostNothing, try await isGone(generation, known) {
            refusal = .gone
        }
        // A look that failed is none.
        state.withLock { state in
            if isDue {
                state.pause = min(state.pause * 2, interval)
                state.nextLook = now + state.pause
            }
            state.refusal = state.refusal ?? refusal
        }
        if isDue, refusal == nil, let rivals = known.rivals {
            for rival in await rivals.look() { report(rival) }
        }
        return self.refusal == nil
    }

    /// Whether another process has claimed the generation since; in a store without conditional
    /// writes also whether our claim is not ours any more.
    private func isSuperseded(_ generation: GenerationID, _ known: State) async throws -> Bool {
        guard try await catalog.claims(of: generation, after: known.number).isEmpty else {
            return true
        }
        guard let claim = known.unguarded else { return false }
        let key = try catalog.layout.claim(known.number, of: generation)
        let stored = StoredClaim(number: known.number, key: key, modified: nil)
        guard let found = try await catalog.claim(stored) else { return false }
        return found.writer != claim.writer
    }

    /// Whether the store has lost the generation, or before there is one the state that it is to go
    /// on from.
    private func isGone(_ generation: GenerationID, _ known: State) async throws -> Bool {
        if known.isStored {
            return try await catalog.store.head(try catalog.layout.record(of: generation)) == nil
        }
        guard let parent = known.parent, MonotonicTime.now >= known.nextLook else { return false }
        return try await !catalog.lineage().canRestore(parent.txid, of: parent.generation)
    }

    private func hold(
        _ generation: GenerationID,
        number: UInt64,
        isStored: Bool,
        parent: GenerationRecord.Parent? = nil,
        unguarded: WriterClaim? = nil
    ) {
        let now = MonotonicTime.now
        let rivals = RivalWatch(
            catalog: catalog,
            own: generation,
            parent: parent,
            newest: newest ?? generation
        )
        state.withLock { state in
            state.generation = generation
            state.number = number
            state.isStored = isStored
            state.parent = parent
            state.unguarded = unguarded
            state.rivals = rivals
            state.pause = min(interval, Limits.claimLookIntervalFirst)
            state.nextLook = now + state.pause
        }
    }
}

/// Why nothing more of a generation may be uploaded.
enum UploadRefusal: Sendable {
    /// Another process went on in it.
    case superseded
    /// The store has lost it.
    case gone

    /// What ends the follower, so that the agent attaches anew.
    func error(_ generation: GenerationID, of database: String) -> ReplicationError {
        switch self {
        case .superseded:
            ReplicationError(
                .superseded,
                "another agent goes on in generation \(generation) of '\(database)'; this one "
                    + "begins a child generation. Two agents for one backup are a mistake in the "
                    + "set-up, or a cloned machine"
            )
        case .gone:
            ReplicationError(
                .backupGone,
                "generation \(generation) of '\(database)', or the one that it goes on from, has "
                    + "been deleted from the store; another one begins. Find out who deleted it: "
                    + "docs/RECOVERY.md, \"Deleted bucket prefix\""
            )
        }
    }
}
