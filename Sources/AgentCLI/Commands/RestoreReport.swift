import BackupCatalog
import Bytes
import ObjectStorage
import Restore
import SegmentFormat

/// What `restore` says in the end.
struct RestoreReport {
    private let plan: RestorePlan
    private let output: String
    private let json: Bool

    init(_ plan: RestorePlan, output: String, json: Bool) {
        self.plan = plan
        self.output = output
        self.json = json
    }

    /// The result when there was nothing to do.
    struct Skipped: Encodable {
        var version = 1
        var event = "result"
        var restored = false
        var reason: String
    }

    private struct Slice: Encodable {
        var object: String
        var generation: String
        var kind: String
        var firstTxid: String
        var lastTxid: String
        var bytes: UInt64
    }

    private struct Report: Encodable {
        var version = 1
        var event = "result"
        var restored: Bool
        var dryRun: Bool
        var generation: String
        var txid: String
        var time: String?
        var output: String
        var digest: String?
        var pages: UInt32?
        var pageSize: Int
        var objects: Int
        var bytes: UInt64
        var requests: Int
        var fetchedBytes: UInt64?
        var changedPages: Int?
        var notes: [String]
        var slices: [Slice]?
    }

    private func report(_ result: Restorer.Result?) -> Report {
        Report(
            restored: result != nil,
            dryRun: result == nil,
            generation: plan.generation.id.text,
            txid: plan.txid.description,
            time: (result?.time ?? plan.time)?.description,
            output: output,
            digest: result?.digest.description,
            pages: result?.pageCount,
            pageSize: plan.generation.record.pageSize.bytes,
            objects: plan.steps.count + 1,
            bytes: plan.byteCount,
            requests: plan.requestCount,
            fetchedBytes: result?.fetchedBytes,
            changedPages: nil,
            notes: plan.notes,
            slices: result == nil ? slices : nil
        )
    }

    private var slices: [Slice] {
        let base = Slice(
            object: plan.base.key.path,
            generation: plan.baseGeneration.text,
            kind: plan.base.name.kind.fileExtension,
            firstTxid: plan.base.name.minTXID.description,
            lastTxid: plan.base.name.maxTXID.description,
            bytes: plan.base.size
        )
        return [base]
            + plan.steps.map { slice in
                Slice(
                    object: slice.segment.key.path,
                    generation: slice.generation.text,
                    kind: slice.segment.name.kind.fileExtension,
                    firstTxid: slice.commits.lowerBound.description,
                    lastTxid: slice.commits.upperBound.description,
                    bytes: slice.segment.size
                )
            }
    }

    /// What a dry run leaves open.
    private static let planIsNoProof =
        "planned from the names and sizes of the objects; what they hold was not read: "
        + "'highwater verify' does, and with -level restore it rehearses the restore"

    /// Prints the plan of a dry run.
    func printPlan() throws {
        StandardError.write("note: \(Self.planIsNoProof)\n")
        if json {
            var report = report(nil)
            report.notes.append(Self.planIsNoProof)
            return try JSONOutput.print(report)
        }
        Swift.print(
            "would restore TXID \(plan.txid) of generation \(plan.generation.id) to '\(output)': "
                + "\(plan.steps.count + 1) objects, \(plan.byteCount) bytes, "
                + "\(plan.requestCount) requests"
        )
        for slice in slices {
            Swift.print(
                "  \(slice.kind)  \(slice.firstTxid) to \(slice.lastTxid)  \(slice.bytes) bytes  "
                    + slice.object
            )
        }
    }

    /// Prints what was restored.
    func print(_ result: Restorer.Result) throws {
        if json { return try JSONOutput.print(report(result)) }
        let time = result.time.map { " (\($0))" } ?? ""
        Swift.print(
            "restored TXID \(plan.txid)\(time) of generation \(plan.generation.id) to '\(output)' "
                + "(\(plan.steps.count + 1) objects, \(result.fetchedBytes) bytes fetched)"
        )
    }

    /// Prints what was patched.
    func print(_ result: PatchRestorer.Result) throws {
        if json {
            var report = report(nil)
            report.restored = true
            report.dryRun = false
            report.slices = nil
            report.time = result.time?.description
            report.digest = result.digest.description
            report.pages = result.pageCount
            report.fetchedBytes = result.fetchedBytes
            report.changedPages = result.changedPages
            return try JSONOutput.print(report)
        }
        Swift.print(
            "restored TXID \(plan.txid) of generation \(plan.generation.id) to '\(output)': "
                + "\(result.changedPages) pages differed (\(result.fetchedBytes) bytes fetched)"
        )
    }
}
