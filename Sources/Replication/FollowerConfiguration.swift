package import Bytes
package import Hazards
package import Maintenance

/// How one database is followed. Times in nanoseconds.
package struct FollowerConfiguration: Sendable {
    /// The database's path, links resolved.
    package var databasePath: String
    /// The generation that is written.
    package var generation: GenerationID
    /// This process's tag.
    package var writer: WriterTag
    /// The least time between two uploads.
    package var syncInterval: Int64 = 1_000_000_000
    /// Frames in the WAL from which on room is made under the write lock (DESIGN §4.3); a slow
    /// writer's WAL may have three times as many.
    package var walResetFrames: FrameIndex = 4000
    /// Bytes in the WAL from which on it is done, however large the pages are.
    package var walResetBytes: Int64 = 32 * 1024 * 1024
    /// Frames in the WAL from which on it is reset when the application is quiet (§4.2).
    package var quietResetFrames: FrameIndex = 64
    /// How long nothing must have been committed before that.
    package var quietTime: Int64 = 500_000_000
    /// The folder for segments that must be safe before the store has them.
    package var spoolFolder: String
    /// How long the store may take once the application's checkpoint waits for us.
    package var urgentStoreTime: Int64 = 50_000_000
    /// How long the last upload may take at shutdown.
    package var shutdownTime: Int64 = 30_000_000_000
    /// Bytes of sealed segments in memory; beyond them commits wait in the WAL.
    package var pendingBytesMax = 16 * 1024 * 1024
    /// What happens when the store takes nothing for very long.
    package var outage = OutagePolicy()
    /// Which levels are built; nil for none.
    package var levels: LevelPolicy?
    /// The database's hazards: after a fatal one nothing is checkpointed or reset.
    package var alarm = HazardAlarm()

    /// A configuration with the defaults of DESIGN §3 and §4.
    package init(
        databasePath: String,
        generation: GenerationID,
        writer: WriterTag,
        spoolFolder: String
    ) {
        self.databasePath = databasePath
        self.generation = generation
        self.writer = writer
        self.spoolFolder = spoolFolder
    }
}

/// Where a generation ends in the store: what the next segment goes on from.
package struct ResumePoint: Sendable {
    /// The last commit of the gap-free chain.
    package var txid: TXID
    /// Its time.
    package var time: Timestamp
    /// The WAL position after it.
    package var position: WALPosition?
    /// The state's digest and page count.
    package var digest: DatabaseDigest?
    package var pageCount: UInt32
    package var pageSize: PageSize
    /// The checksum of the last log segment; nil when the chain has none yet.
    package var link: SegmentChecksum?

    /// A place to go on from.
    package init(
        txid: TXID,
        time: Timestamp,
        position: WALPosition?,
        digest: DatabaseDigest?,
        pageCount: UInt32,
        pageSize: PageSize,
        link: SegmentChecksum?
    ) {
        self.txid = txid
        self.time = time
        self.position = position
        self.digest = digest
        self.pageCount = pageCount
        self.pageSize = pageSize
        self.link = link
    }
}
