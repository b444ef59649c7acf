package import BackupCatalog
package import Bytes
package import ObjectStorage
import SegmentFormat

/// What time it is for the store: ages are counted by its clock, never by this machine's alone.
package enum StoreTime {
    /// The store's time.
    ///
    /// Where the store never tells it, the time at which its newest object was stored: a time in
    /// the past only makes maintenance keep more.
    /// - Throws: `clockDiffers` when this machine's clock is more than three minutes off.
    package static func now(
        of store: any ObjectStore,
        listing lineage: LineageGraph,
        local: Timestamp
    ) throws(MaintenanceError) -> Timestamp {
        let newest = lineage.timelines.values.flatMap { $0.list.all }.compactMap(\.modified).max()
        if let offset = store.clockOffset {
            guard abs(offset) <= MaintenanceLimits.clockDifference else {
                throw differs(by: offset)
            }
            return Timestamp(milliseconds: local.milliseconds + offset)
        }
        guard let newest else { return Timestamp(milliseconds: 0) }
        let ahead = newest.milliseconds - local.milliseconds
        guard ahead <= MaintenanceLimits.clockDifference else { throw differs(by: ahead) }
        return newest
    }

    private static func differs(by milliseconds: Int64) -> MaintenanceError {
        MaintenanceError(
            .clockDiffers,
            object: "clock",
            "this machine's clock and the store's differ by \(abs(milliseconds) / 1000) s, so the"
                + " age of the backups is not certain; set the clock, nothing was deleted"
        )
    }
}
