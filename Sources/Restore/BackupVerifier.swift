package import BackupCatalog
package import Bytes
package import ObjectStorage
package import Platform
import SegmentFormat

/// Looks for what is missing or damaged in a store, and says what can still be restored.
package struct BackupVerifier: Sendable {
    /// Something that is not as it should be.
    package struct Finding: Sendable, Hashable {
        /// The kinds of findings.
        package enum Kind: String, Sendable {
            /// Commits or objects that must have been there are not.
            case missing
            /// An object is not what was stored.
            case corrupt
            /// Two histories go on from one commit.
            case forked
            /// A restore did not give the state that was recorded, or SQLite finds it damaged.
            case wrong
        }

        /// What kind of finding it is.
        package var kind: Kind
        /// The object or generation.
        package var object: String
        /// What is wrong with it.
        package var message: String

        /// A finding.
        package init(_ kind: Kind, _ object: String, _ message: String) {
            self.kind = kind
            self.object = object
            self.message = message
        }
    }

    /// What was found in one generation.
    package struct Report: Sendable {
        /// The generation.
        package let generation: GenerationID
        /// Objects that it has.
        package var objects = 0
        /// Objects that were read.
        package var readObjects = 0
        /// Bytes that were read.
        package var readBytes: UInt64 = 0
        /// What is wrong.
        package var findings: [Finding] = []
        /// Objects that nothing needs: sent again, or somebody else's.
        package var idle: [String] = []
        /// What can be restored of it, with nothing that is damaged.
        package var restorable: [ClosedRange<TXID>] = []

        /// What this look found, whether an earlier one found it, too, or not.
        var seen: [Finding] = []
        /// What was listed; nothing when all is well.
        var listed: Set<ObjectKey> = []
        /// Objects that are whole and contradict the ones beside them.
        var contradictions: [ObjectKey: String] = [:]
        /// Whether all that the earlier look listed is still there, so that nobody was deleting.
        var isSettled = false
        private var known: Set<[String]> = []

        init(generation: GenerationID) { self.generation = generation }

        /// Takes note of something, once for each object and kind.
        mutating func add(_ kind: Finding.Kind, _ object: String, _ message: String) {
            guard known.insert([kind.rawValue, object]).inserted else { return }
            seen.append(Finding(kind, object, message))
        }

        /// Of what this look found, what an earlier one found, too.
        func confirmed(by earlier: Report) -> [Finding] {
            let found = Set(earlier.seen.map(Self.identity))
            return seen.filter { found.contains(Self.identity($0)) }
        }

        /// What makes two findings one. A hole is the same only where it has the same ends; a fork
        /// goes on growing.
        private static func identity(_ finding: Finding) -> [String] {
            let text = finding.kind == .missing ? finding.message : ""
            return [finding.kind.rawValue, finding.object, text]
        }
    }

    private let catalog: Catalog
    private let executor: ThreadExecutor
    private let width: Int
    private let memoryBytes: Int
    private let progress: RestoreProgress

    /// A verifier of the store behind `catalog`.
    package init(
        catalog: Catalog,
        executor: ThreadExecutor,
        parallelism: Int,
        memoryBytes: Int,
        progress: RestoreProgress
    ) {
        self.catalog = catalog
        self.executor = executor
        width = max(1, min(parallelism, Limits.maxParallelism))
        self.memoryBytes = memoryBytes
        self.progress = progress
    }

    /// Checks what LIST says of a generation and, with `reads`, every byte of the objects that
    /// `isChosen` names.
    package func verify(
        _ generation: Generation,
        reads: Bool,
        isChosen: (ObjectKey) -> Bool = { _ in true }
    ) async throws -> Report {
        var report = try await look(at: generation, reads: reads, isChosen: isChosen)
        report.findings = report.seen
        return report
    }

    /// Looks again at what `earlier` found: at the whole list, and at the objects that were not as
    /// they should be. Only what both looks find is a finding: others store and delete meanwhile.
    package func verify(
        _ generation: Generation,
        reads: Bool,
        after earlier: Report
    ) async throws -> Report {
        let suspects = Set(earlier.seen.filter { $0.kind == .corrupt }.map(\.object))
        var report = try await look(
            at: generation,
            reads: reads && !suspects.isEmpty,
            contradictions: earlier.contradictions
        ) { suspects.contains($0.path) }
        report.findings = report.confirmed(by: earlier)
        report.isSettled = earlier.listed.isSubset(of: report.listed)
        report.readObjects = earlier.readObjects
        report.readBytes = earlier.readBytes
        return report
    }

    private func look(
        at generation: Generation,
        reads: Bool,
        contradictions: [ObjectKey: String] = [:],
        isChosen: (ObjectKey) -> Bool
    ) async throws -> Report {
        let timeline = try await catalog.timeline(of: generation)
        var report = Report(generation: generation.id)
        let segments = timeline.list.snapshots + timeline.list.levels + timeline.list.logs
        report.objects = segments.count
        checkList(timeline, &report)
        let hasParent = try await checkParent(generation, timeline, &report)
        var damaged = Set(timeline.damaged.map(\.segment.key))
        if reads {
            let chosen = segments.filter { isChosen($0.key) }
            let audits = try await audit(chosen, of: generation, timeline, &report)
            for audit in audits {
                if let problem = audit.problem {
                    damaged.insert(audit.segment.key)
                    report.add(.corrupt, audit.segment.key.path, problem)
                }
            }
            report.contradictions = contradictions
            for (segment, problem) in Self.contradictions(audits, timeline) {
                report.contradictions[segment.key] = problem
            }
            // What an earlier look found of objects that are whole stays true while they are there.
            for segment in segments {
                guard let problem = report.contradictions[segment.key] else { continue }
                damaged.insert(segment.key)
                report.add(.corrupt, segment.key.path, problem)
            }
        }
        if !report.seen.isEmpty { report.listed = Set(segments.map(\.key)) }
        report.restorable = Self.restorable(timeline, without: damaged, hasParent: hasParent)
        return report
    }

    // MARK: - What LIST says

    private func checkList(_ timeline: Timeline, _ report: inout Report) {
        let id = timeline.generation.id.text
        if timeline.runs.isEmpty {
            report.add(.missing, id, "no base: nothing of it can be restored")
        }
        for hole in timeline.holes {
            let text = "commits \(hole.lowerBound) to \(hole.upperBound) are missing"
            report.seen.append(Finding(.missing, id, text))
        }
        for fork in timeline.forks { report.seen.append(Finding(.forked, id, fork.message)) }
        for (segment, error) in timeline.damaged {
            report.add(.corrupt, segment.key.path, "\(error)")
        }
        for orphan in timeline.orphans {
            report.add(.missing, orphan.key.path, "no base leads to its commits")
        }
        let least = UInt64(SegmentHeader.encodedSize + SegmentFooter.encodedSize)
        for segment in timeline.list.all where segment.size < least {
            report.add(.corrupt, segment.key.path, "it is cut off")
        }
        report.idle =
            timeline.leftovers.map(\.key.path) + timeline.list.foreign.map(\.key.path)
            + timeline.duplicates.map(\.segment.key.path)
    }

    /// Whether a state that the parent should have is there.
    private func checkParent(
        _ generation: Generation,
        _ timeline: Timeline,
        _ report: inout Report
    ) async throws -> Bool {
        guard let parent = generation.record.parent,
            timeline.runs.contains(where: \.beginsWithParent)
        else { return true }
        do {
            var found = try await catalog.generation(parent.generation)
            var seen: Set<GenerationID> = [generation.id]
            // The state may lie before the parent began.
            while let older = found.record.parent, parent.txid < older.txid,
                seen.insert(found.id).inserted
            {
                found = try await catalog.generation(older.generation)
            }
            let timeline = try await catalog.timeline(of: found)
            if timeline.run(holding: parent.txid) != nil { return true }
            report.add(
                .missing,
                parent.generation.text,
                "TXID \(parent.txid), which \(generation.id) goes on from, is not there"
            )
        } catch let error as CatalogError {
            report.add(.missing, parent.generation.text, "\(error)")
        }
        return false
    }

    // MARK: - What the objects say

    private func audit(
        _ segments: [StoredSegment],
        of generation: Generation,
        _ timeline: Timeline,
        _ report: inout Report
    ) async throws -> [SegmentAudit] {
        progress.begin(.fetching, total: segments.reduce(0) { $0 + $1.size })
        let reader = RangeReader(catalog.store, progress: progress)
        let wholeBytes = UInt64(max(1 << 20, memoryBytes / 2 / width))
        let record = generation.record
        // A log may have millions of digests; these are the ones that snapshots are compared with.
        let wanted = Set(timeline.list.snapshots.map(\.name.maxTXID))
        var audits: [SegmentAudit] = []
        try await OrderedTasks.run(segments, width: width, on: executor) { segment in
            try await SegmentAudit.of(
                segment,
                record: record,
                reader: reader,
                wholeBytes: wholeBytes,
                digests: wanted
            )
        } consume: { audit in
            audits.append(audit)
            return true
        }
        report.readObjects += segments.count
        report.readBytes += segments.reduce(0) { $0 + $1.size }
        return audits
    }

    /// Objects that are whole but contradict the ones beside them.
    private static func contradictions(
        _ audits: [SegmentAudit],
        _ timeline: Timeline
    ) -> [(StoredSegment, String)] {
        var layouts: [ObjectKey: SegmentAudit] = [:]
        for audit in audits where audit.problem == nil { layouts[audit.segment.key] = audit }
        var found: [(StoredSegment, String)] = []
        for run in timeline.runs {
            for (before, after) in zip(run.logs, run.logs.dropFirst()) {
                guard let a = layouts[before.key], let b = layouts[after.key],
                    let problem = b.contradiction(after: a)
                else { continue }
                found.append((after, problem))
            }
            for snapshot in run.snapshots {
                guard let state = layouts[snapshot.key]?.footer, let digest = state.digestAfter,
                    let log = run.log(holding: state.maxTXID),
                    let known = layouts[log.key]?.digests[state.maxTXID], known != digest
                else { continue }
                found.append((snapshot, "its digest is not the one that '\(log.key)' records"))
            }
        }
        return found
    }

    /// What the runs of a timeline are good for without some objects.
    static func restorable(
        _ timeline: Timeline,
        without damaged: Set<ObjectKey>,
        hasParent: Bool = true
    ) -> [ClosedRange<TXID>] {
        var windows: [ClosedRange<TXID>] = []
        for run in timeline.runs {
            var starts = run.snapshots.filter { !damaged.contains($0.key) }
                .map { (anchor: $0.name.minTXID, served: $0.name.maxTXID) }
            if run.beginsWithParent, hasParent { starts.insert((run.first, run.first), at: 0) }
            for start in starts {
                var end = start.anchor
                for slice in run.slices where slice.txids.upperBound > end {
                    guard !damaged.contains(slice.segment.key),
                        slice.txids.lowerBound <= end.next
                    else { break }
                    end = slice.txids.upperBound
                }
                guard end >= start.served else { continue }
                if let last = windows.last, start.served <= last.upperBound.next {
                    windows[windows.count - 1] = last.lowerBound...max(last.upperBound, end)
                } else {
                    windows.append(start.served...end)
                }
            }
        }
        return windows
    }
}
