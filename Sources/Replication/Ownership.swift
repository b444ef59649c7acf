import BackupCatalog
import Bytes
import Glibc
import ObjectStorage
import Platform
import Synchronization

/// Who goes on writing a generation (DESIGN §7, docs/FORMAT.md §15): a claim before going on in one,
/// and now and then a look whether somebody claimed it after us.
final class Ownership: Sendable {
    private struct State {
        var generation: GenerationID?
        var number: UInt64 = 0
        var nextLook = MonotonicTime(nanoseconds: 0)
        var isSuperseded = false
    }

    private let state = Mutex(State())
    private let store: any ObjectStore
    private let layout = CatalogLayout()
    private let interval: Int64

    /// Nothing is claimed yet. While something is uploaded `interval` nanoseconds lie between looks.
    init(store: any ObjectStore, interval: Int64) {
        self.store = store
        self.interval = interval
    }

    /// True once another process went on in the generation after us.
    var isSuperseded: Bool { state.withLock { $0.isSuperseded } }

    /// The generation is new, and ours alone as long as nobody claims it.
    func begin(_ generation: GenerationID) { hold(generation, number: 0) }

    /// Claims a generation after everybody who did before.
    ///
    /// - Throws: `StoreError`; `CatalogError.forked` when others claim it faster than we do.
    func claim(_ generation: GenerationID, writer: WriterTag, after txid: TXID) async throws {
        var host = [CChar](repeating: 0, count: 256)
        gethostname(&host, 255)
        let claim = WriterClaim(
            writer: writer,
            txid: txid,
            time: .now,
            host: String(
                decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)),
                as: UTF8.self
            )
        )
        for _ in 0..<Limits.claimAttempts {
            let number = (try await last(of: generation, after: 0) ?? 0) + 1
            do throws(StoreError) {
                try await store.put(
                    try layout.claim(number, of: generation),
                    bytes: claim.encode(),
                    ifAbsent: true
                )
                return hold(generation, number: number)
            } catch {
                switch error.code {
                case .preconditionFailed: continue
                case .unsupported:
                    // Without conditional writes the object is a best-effort alarm.
                    try await store.put(
                        try layout.claim(number, of: generation),
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
    func mayUpload() async throws(StoreError) -> Bool {
        let now = MonotonicTime.now
        let due = state.withLock { state -> (GenerationID, UInt64)? in
            guard !state.isSuperseded, let generation = state.generation, now >= state.nextLook
            else { return nil }
            state.nextLook = now + interval
            return (state.generation ?? generation, state.number)
        }
        if let (generation, number) = due, try await last(of: generation, after: number) != nil {
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

    /// The highest claim above `number`; nil when there is none.
    private func last(
        of generation: GenerationID,
        after number: UInt64
    ) async throws(StoreError) -> UInt64? {
        let folder = layout.folder(of: generation)
        let objects = try await store.list(
            prefix: folder + CatalogLayout.writersFolder + "/",
            after: number == 0 ? nil : folder + WriterClaim.path(number: number)
        )
        return objects.compactMap {
            WriterClaim.number(path: String($0.key.path.dropFirst(folder.count)))
        }.max()
    }
}
