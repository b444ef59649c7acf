package import Bytes

/// Follows the records of a log segment in order, and throws where they break a rule: TXIDs,
/// counts, growth and shrinking, pages listed twice, hashes and digests that do not add up.
///
/// Holds the page numbers of one commit, 4 bytes each; otherwise constant memory.
package struct LogRecordChecker {
    /// The commit that the next record belongs to.
    package var txid: TXID { commits.txid }
    /// The page count before that commit.
    package var pageCountBefore: UInt32 { commits.pageCount }

    private let header: SegmentHeader
    private var commits: CommitSequence
    private var pages: [UInt32] = []
    private var totals = (commits: UInt64(0), entries: UInt64(0))
    private var firstTime: Timestamp?
    private var last: CommitRecord?
    /// The low half of the digest, carried from commit to commit; nil while it cannot be known.
    private var digest: UInt64?

    /// A checker for the segment with that header.
    package init(header: SegmentHeader) {
        self.header = header
        commits = CommitSequence(header: header)
        digest = header.digestBefore?.low
    }

    /// Checks the next record.
    package mutating func check(_ record: LogRecord) throws(SegmentError) {
        switch record {
        case .page(let entry):
            try check(commits.add(entry))
            pages.append(entry.page.rawValue)
            totals.entries += 1
            // The low half of a sum depends on the low halves of its terms alone.
            let known = entry.isNew || entry.preHash != nil
            digest = known ? digest.map { $0 &- (entry.preHash ?? 0) &+ entry.resultHash } : nil
        case .commit(let commit):
            try check(commits.end(commit))
            try checkPagesDiffer(in: commit)
            try checkDigest(of: commit)
            totals.commits += 1
            if firstTime == nil { firstTime = commit.seenAt }
            last = commit
        }
    }

    /// Checks, after the last record, that the footer says the same.
    package func finish(_ footer: SegmentFooter) throws(SegmentError) {
        guard commits.entryCount == 0, let last, let firstTime else {
            throw SegmentError(.inconsistent, "the records do not end with a commit")
        }
        guard last.txid == footer.maxTXID, last.pageCount == footer.pageCountAfter,
            last.digest == footer.digestAfter, last.seenAt == footer.lastTime,
            firstTime == footer.firstTime, totals.commits == footer.commitCount,
            totals.entries == footer.entryCount
        else {
            throw SegmentError(.inconsistent, "the footer does not fit commit \(last.txid)")
        }
    }

    /// Checks that the segment goes on from a state of `count` pages. Who keeps something for each
    /// page asks before: page numbers and counts of a hostile segment may be anything.
    package func checkPageCount(before count: UInt32) throws(SegmentError) {
        guard pageCountBefore != count else { return }
        throw SegmentError(
            .inconsistent,
            "commit \(txid) goes on from \(pageCountBefore) pages, the state before has \(count)"
        )
    }

    private func check(_ problem: String?) throws(SegmentError) {
        if let problem { throw SegmentError(.inconsistent, problem) }
    }

    private mutating func checkPagesDiffer(in commit: CommitRecord) throws(SegmentError) {
        pages.sort()
        for index in pages.indices.dropFirst() where pages[index] == pages[index - 1] {
            throw SegmentError(
                .inconsistent,
                "commit \(commit.txid) lists page \(pages[index]) twice"
            )
        }
        pages.removeAll(keepingCapacity: pages.capacity <= 4096)
    }

    private mutating func checkDigest(of commit: CommitRecord) throws(SegmentError) {
        guard let known = commit.digest?.low else { return }
        if let digest, digest != known {
            throw SegmentError(
                .inconsistent,
                "the page hashes of commit \(commit.txid) do not add up to its digest"
            )
        }
        digest = known
    }
}
