import BackupCatalog
import Bytes
import ObjectStorage
import SegmentFormat
import Synchronization

/// Looks for other agents that store into the same place (DESIGN §2.5).
///
/// A copy of the database with an agent of its own, or a machine that was restored while the old
/// one lives on, damages nothing: it writes a generation of its own. But a restore that names no
/// generation then means one of two databases, so that both agents say what they see. A generation
/// that nobody writes any more, as after a move to another machine, is no reason to.
final class RivalWatch: Sendable {
    private struct State {
        /// The last commit that each generation was seen with.
        var last: [GenerationID: TXID] = [:]
        var reported: Set<GenerationID> = []
        var isLooking = false
    }

    private let state = Mutex(State())
    private let catalog: Catalog
    private let own: GenerationID
    private let parent: GenerationRecord.Parent?
    private let newest: GenerationID

    /// Watches generations other than `own` in the same place: those that begin after `newest`, the
    /// last one when the agent attached, those between that existed already, and the parent.
    init(
        catalog: Catalog,
        own: GenerationID,
        parent: GenerationRecord.Parent?,
        newest: GenerationID
    ) {
        self.catalog = catalog
        self.own = own
        self.parent = parent
        self.newest = newest
    }

    /// Generations that another agent writes, each one told once. What the store does not answer,
    /// or nobody can read, is left to the next look.
    func look() async -> [Generation] {
        let mayLook = state.withLock { state -> Bool in
            defer { state.isLooking = true }
            return !state.isLooking
        }
        guard mayLook else { return [] }
        defer { state.withLock { $0.isLooking = false } }
        var found: [Generation] = []
        do {
            for id in try await others() where !state.withLock({ $0.reported.contains(id) }) {
                guard try await isAlive(id), let rival = try? await catalog.generation(id) else {
                    continue
                }
                found.append(rival)
                state.withLock { _ = $0.reported.insert(id) }
            }
        } catch {}
        return found
    }

    /// What the log says of one.
    static func report(_ rival: Generation, beside database: String) -> String {
        let origin = rival.record.parent.map {
            ", which goes on from \($0.generation) at \($0.txid)"
        }
        return "another agent stores into the place of '\(database)': generation \(rival.id) of "
            + "'\(rival.record.file.path)' on \(rival.record.host)\(origin ?? ""). Both histories "
            + "are kept, but end one agent, or give it a place of its own: docs/RECOVERY.md, "
            + "\"Two writers\""
    }

    /// The parent, and the generations with names after ours, or after the newest one at our start.
    private func others() async throws -> [GenerationID] {
        var ids = parent.map { [$0.generation] } ?? []
        let root = catalog.layout.root
        var after = root + min(own, newest).text + "0"
        while ids.count < Limits.rivalsPerLook,
            let object = try await catalog.store.list(prefix: root, after: after, limit: 1).first
        {
            let name = String(object.key.path.dropFirst(root.count).prefix { $0 != "/" })
            after = root + name + "0"
            guard let id = GenerationID(name), id != own, id != parent?.generation else { continue }
            ids.append(id)
        }
        return ids
    }

    /// Whether somebody writes a generation: it is younger than our start, or has got commits since
    /// the last look.
    private func isAlive(_ id: GenerationID) async throws -> Bool {
        if id > newest { return true }
        let folder = catalog.layout.folder(of: id)
        let logs = folder + SegmentName.folder(level: 0) + "/"
        let seen = state.withLock { $0.last[id] }
        // Keys begin with the first commit: what comes after this one has later commits alone.
        let from = seen ?? (parent?.generation == id ? parent?.txid : nil)
        let objects = try await catalog.store.list(
            prefix: logs,
            after: from.map { logs + $0.next.description },
            limit: seen == nil ? nil : 1
        )
        if seen != nil { return !objects.isEmpty }
        let names = objects.compactMap {
            SegmentName(path: String($0.key.path.dropFirst(folder.count)))
        }
        let last = names.map(\.maxTXID).max() ?? from ?? .zero
        state.withLock { $0.last[id] = last }
        return false
    }
}
