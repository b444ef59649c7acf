import BackupCatalog
import Bytes
import PageHashing
import SegmentFormat

/// A segment whose header, footer and block table were read and agree with its name and place.
struct OpenSegment: Sendable {
    let segment: StoredSegment
    let layout: SegmentLayout
    /// The object, if it was small enough to be fetched at once.
    let whole: [UInt8]?
    private let reader: RangeReader

    /// Opens a segment of `generation`. `kept` is the object, if somebody has fetched it.
    init(
        _ segment: StoredSegment,
        generation: GenerationID,
        pageSize: PageSize?,
        reader: RangeReader,
        kept: [UInt8]? = nil
    ) async throws {
        self.segment = segment
        self.reader = reader
        let ends = UInt64(SegmentHeader.encodedSize + SegmentFooter.encodedSize)
        guard segment.size >= ends else {
            throw Self.damaged(segment, "it is cut off: it has \(segment.size) bytes")
        }
        if let kept {
            whole = kept
        } else if segment.size <= Limits.wholeObjectBytes {
            whole = try await reader.bytes(of: segment, in: 0..<segment.size)
        } else {
            whole = nil
        }
        layout = try await Self.layout(of: segment, whole, reader)
        let header = layout.header
        guard layout.name == segment.name else {
            throw Self.damaged(segment, "its name does not fit its content, \(layout.name)")
        }
        guard header.generation == generation else {
            throw Self.damaged(segment, "it belongs to generation \(header.generation)")
        }
        guard pageSize == nil || header.pageSize == pageSize else {
            throw Self.damaged(segment, "it has page size \(header.pageSize)")
        }
        if let whole { try checkWhole(whole) }
    }

    /// The stored bytes of one block.
    func bytes(of block: BlockEntry) async throws -> ArraySlice<UInt8> {
        try await bytes(in: block.range)
    }

    /// The stored bytes in `range`.
    func bytes(in range: Range<UInt64>) async throws -> ArraySlice<UInt8> {
        if let whole { return whole[Int(range.lowerBound)..<Int(range.upperBound)] }
        return try await reader.bytes(of: segment, in: range)[...]
    }

    func damaged(_ what: String) -> RestoreError { Self.damaged(segment, what) }

    private static func damaged(_ segment: StoredSegment, _ what: String) -> RestoreError {
        RestoreError(
            .integrity,
            "'\(segment.key)' is damaged: \(what)",
            object: segment.key
        )
    }

    private static func layout(
        of segment: StoredSegment,
        _ whole: [UInt8]?,
        _ reader: RangeReader
    ) async throws -> SegmentLayout {
        func bytes(_ range: Range<UInt64>) async throws -> [UInt8] {
            if let whole { return Array(whole[Int(range.lowerBound)..<Int(range.upperBound)]) }
            return try await reader.bytes(of: segment, in: range)
        }
        let start = segment.size - UInt64(SegmentFooter.encodedSize)
        let head = try await bytes(0..<UInt64(SegmentHeader.encodedSize))
        let foot = try await bytes(start..<segment.size)
        let (header, footer) = try segment.naming { () throws(SegmentError) in
            (try SegmentHeader(decoding: head), try SegmentFooter(decoding: foot, offset: start))
        }
        let range = try segment.naming { () throws(SegmentError) in
            try SegmentLayout.tableRange(header: header, footer: footer, fileSize: segment.size)
        }
        let table = try await bytes(range)
        return try segment.naming { () throws(SegmentError) in
            try SegmentLayout(header: header, footer: footer, table: table, fileSize: segment.size)
        }
    }

    private func checkWhole(_ bytes: [UInt8]) throws {
        var stream = ChecksumStream()
        let covered = bytes.count - Self.uncoveredBytes
        bytes.withUnsafeBytes { stream.update(UnsafeRawBufferPointer(rebasing: $0[..<covered])) }
        guard stream.finish() == layout.footer.checksum else {
            throw damaged("the checksum of the whole segment is wrong")
        }
    }

    /// The bytes at a segment's end that its checksum does not cover (FORMAT.md §4.3).
    static let uncoveredBytes = 32
}
