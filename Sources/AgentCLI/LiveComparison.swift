import BackupCatalog
import Bytes
import ObjectStorage
import PageHashing
import Platform
import Restore
import SQLiteAccess
import SegmentFormat

/// Compares one state of a running database with the backup.
///
/// The state is held by a read transaction and its digest computed; the same digest must appear in
/// the backup, at once or as soon as the agent has stored the commits up to it.
struct LiveComparison: Sendable {
    let path: String
    let catalog: Catalog
    let generation: Generation
    let waitNanoseconds: Int64

    private static let pause = 250 * Nanoseconds.millisecond
    /// How many of the newest objects of the log are looked into.
    private static let objectsMax = 200

    /// The page count and digest of a state.
    private struct State: Sendable {
        var pageCount: UInt32
        var pageSize: PageSize
        var digest: DatabaseDigest
    }

    /// Compares, and adds what differs to `findings`.
    func run(
        on executor: ThreadExecutor,
        _ findings: inout [BackupVerifier.Finding]
    ) async throws -> VerifyReport.Live {
        let path = path
        let state = try await executor.run { try Self.state(of: path) }
        var live = VerifyReport.Live(
            txid: nil,
            pages: state.pageCount,
            digest: state.digest.description
        )
        let deadline = MonotonicTime.now + waitNanoseconds
        var newest: TXID?
        var seen: Set<ObjectKey> = []
        guard state.pageSize == generation.record.pageSize else {
            findings.append(.init(.wrong, path, "it has another page size than the backup"))
            return live
        }
        while true {
            let timeline = try await catalog.timeline(of: generation)
            newest = timeline.current?.last
            if let txid = try await find(state, in: timeline, &seen) {
                live.txid = txid.description
                return live
            }
            guard MonotonicTime.now < deadline else { break }
            try await Pause.sleep(nanoseconds: Self.pause)
        }
        findings.append(
            .init(
                .wrong,
                path,
                "the running database's state (digest \(state.digest)) is not in the backup, whose "
                    + "newest commit is \(newest.map(\.description) ?? "none"): the agent is not "
                    + "running or behind, or the backup is of another database"
            )
        )
        return live
    }

    private static func state(of path: String) throws -> State {
        let snapshot = try ReadSnapshot(path: path)
        let size = snapshot.pageSize.bytes
        var digest = DatabaseDigest.zero
        try LiveDatabase.pages(of: snapshot) { first, bytes in
            for index in 0..<bytes.count / size {
                let page = PageNumber(first.rawValue + UInt32(index))
                guard page != snapshot.pageSize.lockPage else { continue }
                let content = bytes[index * size..<(index + 1) * size]
                let pointer = UnsafeRawBufferPointer(rebasing: content)
                digest = digest &+ PageHasher.hash(pointer, number: page)
            }
        }
        return State(pageCount: snapshot.pageCount, pageSize: snapshot.pageSize, digest: digest)
    }

    /// The newest commit with that digest, in objects that were not looked into before.
    private func find(
        _ state: State,
        in timeline: Timeline,
        _ seen: inout Set<ObjectKey>
    ) async throws -> TXID? {
        guard let run = timeline.current else { return nil }
        for log in run.logs.suffix(Self.objectsMax).reversed() where seen.insert(log.key).inserted {
            var found: TXID?
            try await CommitScan(store: catalog.store).commits(of: log) { commit in
                if commit.record.digest == state.digest,
                    commit.record.pageCount == state.pageCount
                {
                    found = commit.record.txid
                }
                return true
            }
            if let found { return found }
        }
        for snapshot in run.snapshots where seen.insert(snapshot.key).inserted {
            let footer = try await SegmentFetcher(snapshot, from: catalog.store).footer()
            if footer.digestAfter == state.digest { return footer.maxTXID }
        }
        return nil
    }
}
