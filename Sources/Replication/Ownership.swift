import BackupCatalog
import Bytes
import ObjectStorage
import Platform
import Synchronization

/// Who goes on writing a generation (DESIGN §7, docs/FORMAT.md §15): a claim before going on in
/// one, and now and then a look whether somebody claimed it after us.
final class Ownership: Sendable {
    private struct State {
        var generation: GenerationID?
        var number: UInt64 = 0
        var nextLook = MonotonicTime(nanoseconds: 0)
        var isSuperseded = false
    }

    private let state = Mutex(State())
    private let catalog: Catalog
    private let interval: Int64

    /// Nothing is claimed yet. While something is uploaded there is a look each `interval`
    /// nanoseconds.
    init(store: any ObjectStore, interval: Int64) {
        catalog = Catalog(store: store)
        self.interval = interval
    }

    /// True once another process went on in the generation after us.
    var isSuperseded: Bool { state.withLock { $0.isSuperseded } }

    /// The generation that is written; nil before `begin` or `claim`.
    var generation: GenerationID? { state.withLock { $0.generation } }

    /// The generation is new, and ours alone as long as nobody claims it.
    func begin(_ generation: GenerationID) { hold(generation, number: 0) }

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
                return hold(generation, number: number)
            } catch {
                switch error.code {
                case .preconditionFailed: continue
                case .unsupported:
                    // Without conditional writes the object is a best-effort alarm.
                    try await catalog.store.put(
                        try catalog.layout.claim(number, of: generation),
                        bytes: claim.encode()
                    )
                    return hold(generation, number: number)
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

    /// Whether we may go on uploading. Asks the store when the last look is long enough ago.
    func mayUpload() async throws -> Bool {
        let now = MonotonicTime.now
        let due = state.withLock { state -> (GenerationID, UInt64)? in
            guard !state.isSuperseded, let generation = state.generation, now >= state.nextLook
            else { return nil }
            state.nextLook = now + interval
            return (state.generation ?? generation, state.number)
        }
        if let (generation, number) = due,
            try await !catalog.claims(of: generation, after: number).isEmpty
        {
            state.withLock { $0.isSuperseded = true }
        }
        return !isSuperseded
    }

    private func hold(_ generation: GenerationID, number: UInt64) {
        let now = MonotonicTime.now
        state.withLock { state in
            state.generation = generation
            state.number = number
            state.nextLook = now + interval
        }
    }
}
