import BackupCatalog
import Bytes
import Maintenance
import ObjectStorage
import Platform
import Restore
import TestSupport
import Testing

@testable import Replication

/// What an agent does for its store while it follows a database.
@Suite struct MaintenanceRoundsTests {
    private static func segments(_ store: MemoryStore) async throws -> SegmentList? {
        let catalog = Catalog(store: store)
        guard let newest = try await catalog.generations().generations.last else { return nil }
        return try await catalog.segments(of: newest.id)
    }

    @Test(.timeLimit(.minutes(10)))
    func `new snapshots are taken while commits go on, and every state stays restorable`()
        async throws
    {
        let folder = TemporaryFolder()
        let application = try SampleApplication(path: folder.file("a.db"))
        let store = MemoryStore()
        var settings = MaintenanceSettings()
        settings.interval = 20 * Nanoseconds.millisecond
        settings.snapshots = SnapshotPolicy(fraction: 0)
        let agent = try FollowerLoopTests.start(
            application.path,
            Destination(store: store, name: "maintenance"),
            maintenance: settings
        )
        try await FollowerLoopTests.wait(for: 1, in: store)
        var commits: UInt64 = 1
        while try await Self.segments(store).map({ $0.snapshots.count < 4 }) ?? true {
            try application.commit()
            commits += 1
            try await FollowerLoopTests.wait(for: commits, in: store)
        }
        try await agent.stop()
        let list = try #require(try await Self.segments(store))
        let bases = Set(list.snapshots.map(\.name.maxTXID.rawValue))
        #expect(bases.contains(1) && bases.count >= 4)
        // The state after commit n has n − 1 rows, whichever snapshot a restore begins with.
        for txid in Set([1, 2, commits / 2, commits]).union(bases).filter({ $0 <= commits }) {
            let output = folder.file("restored-\(txid).db")
            let catalog = Catalog(store: store)
            let tip = try await catalog.newestGeneration()
            let lineage = Lineage(tip: try await catalog.timeline(of: tip))
            let plan = try RestorePlanner(lineage).plan(for: TXID(txid))
            let restorer = Restorer(
                catalog: catalog,
                output: output,
                executor: FollowerLoopTests.executor
            )
            let result = try await restorer.run(plan) { _ in plan }
            #expect(result.plan.txid == TXID(txid))
            #expect(try SampleApplication.rows(in: output) == Int64(txid) - 1)
        }
    }
}
