import BackupCatalog
import Bytes
import Platform
import SegmentFormat
import WALFormat

extension FollowerStart {
    /// Databases with fewer pages than this are bridged whatever the difference.
    private static let smallPageCount = 256

    /// Makes the follower.
    func follower(lanes: UploadLanes, signal: FollowerSignal) throws -> Follower {
        guard let attached, let decision, let generation else {
            preconditionFailure("decide comes first")
        }
        try keepSpool()
        let follower = Follower(
            attachment: attached.attachment,
            wal: attached.wal,
            start: try start(decision, attached),
            configuration: configuration(generation),
            lanes: lanes,
            signal: signal,
            log: log
        )
        follower.lock = takeLock()
        if let spooled { try follower.sendSpooled(spooled.chain, in: tip?.generation.id) }
        if begins(decision) {
            follower.pendingRecord = generationRecord(
                generation,
                parent: parent,
                attachment: attached.attachment
            )
        }
        switch decision {
        case .goOn, .goBack, .goOnRestored: break
        case .bridge(let bridge): try follower.send(bridge, to: attached.state)
        case .begin: try follower.startSnapshot(attached.state, digest: follower.copier.digest!)
        }
        self.attached = nil
        return follower
    }

    func withSpooled(_ index: PageHashIndex?) throws -> PageHashIndex? {
        guard var index else { return nil }
        try spooled?.apply(to: &index)
        return index
    }

    func decide(
        _ index: PageHashIndex?,
        _ attached: inout Attached
    ) throws -> Decision {
        guard let tip, let index, let local = attached.hashes else {
            return .begin(reason: "the indexes of the store's last commits cannot be read")
        }
        if let back = try goBack(to: index, before: tip.resume.txid, &attached) { return back }
        let bridge = Bridge(stored: index, digestBefore: tip.resume.digest, local: local)
        let isWorthIt =
            tip.isOwn || local.low.count <= Self.smallPageCount
            || bridge.differingPageCount <= local.low.count / 2
        return isWorthIt
            ? .bridge(bridge)
            : .begin(reason: "more than half of the pages differ from the store's last state")
    }

    /// An earlier state of the backup that is the database's, at the pin or at the WAL's start.
    private func goBack(
        to index: PageHashIndex,
        before last: TXID,
        _ attached: inout Attached
    ) throws -> Decision? {
        if let match = index.matches[0], match.txid < last {
            let hashes = try attached.hashesAtPin()
            let place = try attached.place(at: attached.attachment.header.position)
            return .goBack(match, place, pageCount: UInt32(hashes.low.count), hashes.digest)
        }
        if index.matches.count > 1, let match = index.matches[1], let hashes = attached.before {
            let place = try attached.placeAtStartOfWAL()
            return .goBack(match, place, pageCount: UInt32(hashes.low.count), hashes.digest)
        }
        return nil
    }

    /// Whether a generation begins: with a parent, or with a snapshot.
    func begins(_ decision: Decision) -> Bool {
        switch decision {
        case .goOn, .bridge: tip?.isOwn != true || !mayContinue
        case .goBack, .goOnRestored, .begin: true
        }
    }

    /// What a generation that begins goes on from.
    var parent: GenerationRecord.Parent? {
        guard let tip, let decision else { return nil }
        switch decision {
        case .goOn, .bridge:
            return GenerationRecord.Parent(generation: tip.generation.id, txid: tip.resume.txid)
        case .goBack(let match, _, _, _), .goOnRestored(let match, _):
            return GenerationRecord.Parent(generation: match.generation, txid: match.txid)
        case .begin: return nil
        }
    }

    private func start(
        _ decision: Decision,
        _ attached: Attached
    ) throws -> Follower.Start {
        let header = attached.attachment.header
        guard let resume = tip?.resume else { return try beginning(attached) }
        var start = Follower.Start(
            position: header.position,
            txid: resume.txid,
            time: resume.time,
            link: begins(decision) ? nil : resume.link,
            pageCount: attached.state.pageCount,
            digest: attached.hashes?.digest,
            proven: nil,
            hasBase: true
        )
        switch decision {
        case .goOn(let place, _):
            start.position = place.position
            start.pageCount = resume.pageCount
            start.digest = resume.digest
            start.proven = place.proven
        case .goBack(let match, let place, let pageCount, let digest):
            start.txid = match.txid
            start.time = match.time
            start.position = place.position
            start.pageCount = pageCount
            start.digest = digest
            start.proven = place.proven
        case .goOnRestored(let match, let fitting):
            start.txid = match.txid
            start.time = match.time
            start.position = fitting.place.position
            start.pageCount = fitting.hint.pageCount
            start.digest = fitting.hint.digest
            start.proven = fitting.place.proven
        case .bridge: break
        case .begin: return try beginning(attached)
        }
        return start
    }

    private func beginning(_ attached: Attached) throws -> Follower.Start {
        let hashes = try attached.hashes ?? attached.state.hashes(wal: attached.wal)
        return Follower.Start(
            position: attached.attachment.header.position,
            txid: TXID(1),
            time: .now,
            link: nil,
            pageCount: attached.state.pageCount,
            digest: hashes.digest,
            proven: nil,
            hasBase: false
        )
    }

    /// A name that comes after all in the store, though the clock may have been set back.
    func newGeneration() -> GenerationID {
        var time = Timestamp.now
        var step: Int64 = 1
        while true {
            let id = GenerationID(time: time, random: UInt32(truncatingIfNeeded: Chance.bits()))
            guard let newest = tip?.newest, id < newest else { return id }
            time = Timestamp(milliseconds: time.milliseconds + step)
            step *= 2
        }
    }

    private func configuration(_ generation: GenerationID) -> FollowerConfiguration {
        var configuration = FollowerConfiguration(
            databasePath: path,
            generation: generation,
            writer: writer,
            spoolFolder: local.spoolFolder
        )
        configuration.syncInterval = syncInterval
        configuration.alarm = alarm
        configuration.outage = outage
        configuration.levels = levels
        tuning?(&configuration)
        return configuration
    }

    private func keepSpool() throws {
        if let spooled, let first = spooled.unlinked.first {
            log(
                .warning,
                "spooled commits do not go on from the store's last one and are given up",
                [("first_txid", "\(first.minTXID)"), ("segments", "\(spooled.unlinked.count)")]
            )
        }
        try local.clearSpool(keeping: Set(spooled?.chain.map(\.path) ?? []))
    }

    func report(_ decision: Decision) {
        guard let tip else { return }
        let place = [("generation", "\(tip.generation.id)"), ("txid", "\(tip.resume.txid)")]
        switch decision {
        case .goOn(_, let reason):
            log(
                .info,
                begins(decision) ? "going on in a child generation" : "resuming",
                place + [("by", reason)]
            )
        case .goBack(let match, _, _, _):
            log(
                .warning,
                "the backup is ahead of the database: a child generation begins; "
                    + "restore -generation gets the later commits back",
                place + [("ahead_from", "\(match.txid.next)"), ("ahead_to", "\(tip.resume.txid)")]
            )
        case .goOnRestored(let match, _):
            log(
                .info,
                "a restored database: a child generation begins at its state; commits that the "
                    + "backup has after it are reached with restore -generation",
                [("generation", "\(match.generation)"), ("txid", "\(match.txid)")]
            )
        case .bridge(let bridge):
            log(
                .warning,
                "commits made while no agent ran are not in the WAL any more: they are stored "
                    + "as one commit and cannot be restored one by one",
                place + [("pages", "\(bridge.differingPageCount)")]
            )
        case .begin(let reason):
            log(
                .warning,
                "a new generation begins with a snapshot",
                place + [("reason", reason)]
            )
        }
    }
}
