import BackupCatalog
import Bytes
import ObjectStorage
import SegmentFormat
import Zstandard

/// Brings the records of one log segment and the pages of its content stream together.
struct LogFeeder {
    /// Whether the last wanted commit was applied.
    private(set) var isDone = false

    private let open: OpenSegment
    private let commits: ClosedRange<TXID>
    private let pageBytes: Int
    private var checker: LogRecordChecker
    private var metaBlocks: ArraySlice<BlockEntry>
    private var records: ArraySlice<LogRecord> = []
    private var entries: [PageEntry] = []
    private var hasBegun = false

    /// Called with each commit after it was applied, and the pages that it changed.
    typealias Observer = (CommitRecord, [PageEntry]) async throws -> Void

    init(_ open: OpenSegment, commits: ClosedRange<TXID>) {
        self.open = open
        self.commits = commits
        pageBytes = open.layout.header.pageSize.bytes
        checker = LogRecordChecker(header: open.layout.header)
        metaBlocks = open.layout.blocks.filter { $0.kind == .meta }[...]
    }

    /// Takes the pages of the next content block.
    mutating func feed(
        _ block: BlockEntry,
        _ pages: [UInt8],
        _ applier: inout LogApplier,
        _ observe: Observer?
    ) async throws {
        for index in 0..<Int(block.count) {
            guard let entry = try await nextWithContent(&applier, observe) else {
                guard isDone else { throw open.damaged("it holds pages that no record takes") }
                return
            }
            if index == 0, block.txid != checker.txid {
                throw open.damaged("the block at \(block.offset) names another commit")
            }
            try pages.withUnsafeBytes { bytes in
                let content = bytes[index * pageBytes..<(index + 1) * pageBytes]
                try apply(entry, UnsafeRawBufferPointer(rebasing: content), &applier)
            }
        }
    }

    /// Takes the records that are left, after the last content block.
    mutating func finish(_ applier: inout LogApplier, _ observe: Observer?) async throws {
        if try await nextWithContent(&applier, observe) != nil {
            throw open.damaged("it has less content than its records take")
        }
        guard applier.txid == commits.upperBound else {
            throw open.damaged("it ends at commit \(applier.txid)")
        }
        if commits.upperBound == open.segment.name.maxTXID {
            let (checker, footer) = (checker, open.layout.footer)
            try open.segment.naming { () throws(SegmentError) in try checker.finish(footer) }
        }
    }

    /// Goes on to the next record that takes content; nil at the end of what is wanted.
    private mutating func nextWithContent(
        _ applier: inout LogApplier,
        _ observe: Observer?
    ) async throws -> PageEntry? {
        while !isDone, let record = try await next() {
            if !hasBegun, checker.txid == commits.lowerBound {
                hasBegun = true
                guard !applier.isState || checker.pageCountBefore == applier.pageCount else {
                    throw open.damaged("commit \(checker.txid) goes on from another page count")
                }
            }
            switch record {
            case .page(let entry):
                if entry.change.hasContent { return entry }
                try check(record)
                try apply(entry, nil, &applier, isChecked: true)
            case .commit(let commit):
                try check(record)
                if commits.contains(commit.txid) {
                    if let problem = applier.end(commit) { throw open.damaged(problem) }
                    if let observe { try await observe(commit, entries) }
                }
                entries.removeAll(keepingCapacity: true)
                isDone = commit.txid == commits.upperBound
            }
        }
        return nil
    }

    private mutating func apply(
        _ entry: PageEntry,
        _ content: UnsafeRawBufferPointer?,
        _ applier: inout LogApplier,
        isChecked: Bool = false
    ) throws {
        let txid = checker.txid
        if !isChecked { try check(.page(entry)) }
        guard commits.contains(txid) else { return }
        entries.append(entry)
        if let problem = try applier.apply(entry, of: txid, content: content) {
            throw open.damaged("commit \(txid): \(problem)")
        }
    }

    private mutating func check(_ record: LogRecord) throws {
        do throws(SegmentError) { try checker.check(record) } catch {
            throw error.about(open.segment.key.path)
        }
    }

    private mutating func next() async throws -> LogRecord? {
        if records.isEmpty {
            guard let block = metaBlocks.popFirst() else { return nil }
            guard block.txid == checker.txid else {
                throw open.damaged("the block at \(block.offset) names another commit")
            }
            let stored = try await open.bytes(of: block)
            var decompressor = Decompressor()
            records = try open.segment.naming { () throws(SegmentError) in
                try LogBlocks.decodeMeta(stored, block, using: &decompressor)[...]
            }
        }
        return records.popFirst()
    }
}
