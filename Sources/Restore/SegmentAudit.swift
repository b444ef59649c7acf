import BackupCatalog
import Bytes
import PageHashing
import SegmentFormat
import Zstandard

/// One object, read to its last byte.
struct SegmentAudit: Sendable {
    let segment: StoredSegment
    /// What is wrong with it; nil when nothing is.
    var problem: String?
    var header: SegmentHeader?
    var footer: SegmentFooter?
    /// The digests that a log segment or pack records, of the states that were asked for.
    var digests: [TXID: DatabaseDigest] = [:]
    /// What the segment after it is linked to; of a pack its last member's checksum.
    private var nextLink: SegmentChecksum?

    /// What is wrong with it if it stands after `before`; nil when nothing is known to be.
    func contradiction(after before: SegmentAudit) -> String? {
        guard let header, let footer = before.footer,
            header.minTXID == footer.maxTXID.next
        else { return nil }
        if let link = before.nextLink, header.link != link {
            return "it does not go on from '\(before.segment.key)'"
        }
        if header.pageCountBefore != footer.pageCountAfter {
            return "it goes on from another page count"
        }
        if let x = header.digestBefore, let y = footer.digestAfter, x != y {
            return "it goes on from a state with another digest"
        }
        return nil
    }

    /// Reads an object. One of more than `wholeBytes` is read in parts: then its checksums are
    /// proven, of the object and of each block, and not what its records say. Kept are the digests
    /// of the states named in `digests`.
    static func of(
        _ segment: StoredSegment,
        record: GenerationRecord,
        reader: RangeReader,
        wholeBytes: UInt64,
        digests: Set<TXID>
    ) async throws -> SegmentAudit {
        var audit = SegmentAudit(segment: segment)
        do {
            if segment.size <= wholeBytes {
                let bytes = try await reader.bytes(of: segment, in: 0..<segment.size)
                try audit.checkWhole(bytes, record, digests)
            } else {
                try await audit.checkParts(record, reader)
            }
        } catch {
            guard Blame.object(of: error) != nil || error is SegmentError else { throw error }
            audit.problem = "\(error)"
        }
        return audit
    }

    private mutating func checkWhole(
        _ bytes: [UInt8],
        _ record: GenerationRecord,
        _ wanted: Set<TXID>
    ) throws {
        let layout = try segment.naming { () throws(SegmentError) in
            try SegmentVerifier.verify(bytes, name: segment.name)
        }
        try take(layout, record)
        guard layout.header.kind.holdsCommits else { return }
        nextLink = layout.footer.checksum
        if layout.header.kind == .pack {
            let range = PackIndex.range(of: layout)
            let index = try PackIndex(
                layout: layout,
                bytes: Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
            )
            nextLink = index.members.last?.footer.checksum
        }
        var decompressor = Decompressor()
        for block in layout.blocks where block.kind == .meta {
            let stored = bytes[Int(block.range.lowerBound)..<Int(block.range.upperBound)]
            for case .commit(let commit) in try LogBlocks.decodeMeta(
                stored,
                block,
                using: &decompressor
            ) where wanted.contains(commit.txid) { digests[commit.txid] = commit.digest }
        }
    }

    private mutating func checkParts(_ record: GenerationRecord, _ reader: RangeReader) async throws
    {
        let open = try await OpenSegment(
            segment,
            generation: record.id,
            pageSize: record.pageSize,
            reader: reader
        )
        try take(open.layout, record)
        let covered = segment.size - UInt64(OpenSegment.uncoveredBytes)
        let parts = PartChecksum()
        var offset: UInt64 = 0
        while offset < covered {
            let end = min(covered, offset + Limits.requestBytes)
            parts.add(try await reader.bytes(of: segment, in: offset..<end))
            offset = end
        }
        guard parts.finish() == open.layout.footer.checksum else {
            throw open.damaged("the checksum of the whole segment is wrong")
        }
    }

    private mutating func take(_ layout: SegmentLayout, _ record: GenerationRecord) throws {
        header = layout.header
        footer = layout.footer
        if layout.header.generation != record.id {
            problem = "it belongs to generation \(layout.header.generation)"
        } else if layout.header.pageSize != record.pageSize {
            problem = "it has page size \(layout.header.pageSize)"
        }
    }
}

/// A checksum over bytes that arrive in parts, in a class, since tasks pass it on.
private final class PartChecksum {
    private var stream = ChecksumStream()

    func add(_ bytes: [UInt8]) { stream.update(bytes) }

    func finish() -> SegmentChecksum { stream.finish() }
}
