import BackupCatalog
import Bytes
import ObjectStorage
import Platform
import SegmentFormat
import WALFormat

/// The hint that a restore left beside the database (DESIGN §6 and §7): where in the backup its
/// state is, which the indexes of the newest generation alone need not tell.
///
/// It is read only where no agent has gone on from the restored file yet, and believed only as far
/// as the digest of the database under our pin, the hint's, and the one that the store recorded at
/// that commit are the same. It is never deleted: another replica may need it, and one that does
/// not fit is harmless.
extension FollowerStart {
    /// A hint that is the database's state.
    struct FittingHint {
        let hint: RestoreHint
        /// The place in the WAL at which the database is in that state.
        let place: StartingPlace
    }

    /// The hint beside the database, if there is one that makes sense and may still be of use.
    func readHint() -> RestoreHint? {
        guard let tip, !tip.isOwn else { return nil }
        let file = RestoreHint.path(for: path)
        do {
            let limit = RestoreHint.maxEncodedSize
            guard let bytes = try FileSystem.contents(file, limit: limit) else { return nil }
            return try RestoreHint(decoding: bytes, object: file)
        } catch {
            ignoreHint(because: "\(error)")
            return nil
        }
    }

    /// The hint, if the database is in its state, at the pin or at the start of the WAL.
    func fitting(_ hint: RestoreHint, _ attached: inout Attached) throws -> FittingHint? {
        guard hint.pageSize == attached.attachment.pageSize else {
            ignoreHint(because: "the database has another page size")
            return nil
        }
        if attached.state.pageCount == hint.pageCount,
            try attached.hashesAtPin().digest == hint.digest
        {
            let place = try attached.place(at: attached.attachment.header.position)
            return FittingHint(hint: hint, place: place)
        }
        if let before = attached.before, UInt32(before.low.count) == hint.pageCount,
            before.digest == hint.digest
        {
            return FittingHint(hint: hint, place: try attached.placeAtStartOfWAL())
        }
        ignoreHint(because: "the database is not in the state that was restored")
        return nil
    }

    /// Says why the hint is not gone by.
    func ignoreHint(because reason: String) {
        log(
            .info,
            "the hint of a restore is ignored",
            [("hint", RestoreHint.path(for: path)), ("reason", reason)]
        )
    }
}

extension RestoreHint {
    /// Where the store has the hint's state, which its indexes prove; a reason when it has not.
    func find(in store: any ObjectStore) async throws -> Result<PageHashIndex.Match, HintMismatch> {
        let catalog = Catalog(store: store)
        do {
            let generation = try await catalog.generation(generation)
            guard try await !StoreTip.isClosed(generation, in: catalog) else {
                return .failure(HintMismatch("maintenance is about to delete its generation"))
            }
            let index = try await catalog.pageHashes(
                of: generation,
                at: txid,
                searching: [PageHashIndex.Wanted(digest: digest, pageCount: pageCount)]
            )
            guard let match = index.matches[0], match.txid == txid else {
                return .failure(HintMismatch("the store has another state at TXID \(txid)"))
            }
            return .success(match)
        } catch let error where error is CatalogError || error is SegmentError {
            return .failure(HintMismatch("\(error)"))
        }
    }
}

/// Why the store does not have what a hint says.
struct HintMismatch: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
