package import Bytes
import PageHashing

/// Merges log segments, and packs, into one pack.
///
/// Bodies are copied as they are, not compressed anew. Every segment is verified, and has to go on
/// from the one before. Misuse throws, and so does everything after it. Not thread-safe.
package final class PackEncoder {
    private var assembler: SegmentAssembler
    private var rules: PackRules
    private var members: [PackMember] = []
    /// Records and pages so far: where the next block of each kind goes on.
    private var counts = (meta: UInt64(0), content: UInt64(0))
    private var isClosed = false

    /// Begins a pack whose first member, or first merged pack, has the header `first`, and whose
    /// last member was written by `writer`.
    package init(
        first: SegmentHeader,
        lastWriter writer: WriterTag,
        workspace: SegmentWorkspace = SegmentWorkspace()
    ) throws(SegmentError) {
        guard first.kind.holdsCommits else {
            throw SegmentError(.misuse, "a pack does not begin with a \(first.kind)")
        }
        var header = first
        header.kind = .pack
        header.writer = writer
        rules = PackRules(header: header)
        assembler = try SegmentAssembler(header: header, workspace: workspace)
    }

    /// Adds the next log segment or pack, given whole.
    ///
    /// - Throws: what is wrong with the segment, or `misuse` when it does not go on from the one
    ///   before.
    package func append(_ bytes: [UInt8], name: SegmentName? = nil) throws(SegmentError) {
        try checkUsable()
        isClosed = true
        let layout = try SegmentVerifier.verify(bytes, name: name)
        guard layout.header.kind.holdsCommits else {
            throw SegmentError(.misuse, "a pack holds no \(layout.header.kind)")
        }
        for member in try layout.members(in: bytes) {
            if let problem = rules.add(member) { throw SegmentError(.misuse, problem) }
            members.append(member)
        }
        let before = counts
        for block in layout.blocks where block.kind != .members {
            var entry = block
            if entry.kind == .meta {
                entry.first += before.meta
                counts.meta += UInt64(block.count)
            } else {
                entry.first += before.content
                counts.content += UInt64(block.count)
            }
            let range = Int(block.range.lowerBound)..<Int(block.range.upperBound)
            assembler.write(entry, bytes[range])
        }
        isClosed = false
    }

    /// Ends the pack.
    package func finish() throws(SegmentError) -> FinishedSegment {
        try checkUsable()
        isClosed = true
        guard let summary = rules.summary, members.last?.header.writer == assembler.header.writer
        else { throw SegmentError(.misuse, "a pack has members, the last one by its writer") }
        for start in stride(from: 0, to: members.count, by: PackMember.countPerBlock) {
            let part = members[start..<min(start + PackMember.countPerBlock, members.count)]
            var raw: [UInt8] = []
            raw.reserveCapacity(part.count * PackMember.encodedSize)
            for member in part { member.append(to: &raw) }
            try assembler.writeMembers(
                raw,
                first: UInt64(start),
                txid: part[part.startIndex].header.minTXID
            )
        }
        return try assembler.finish(summary)
    }

    /// The bytes produced and not taken yet: first the header, after `finish` the rest.
    package func takeOutput() -> [UInt8] { assembler.takeOutput() }

    /// Bytes produced and not taken.
    package var bufferedByteCount: Int { assembler.output.count }

    private func checkUsable() throws(SegmentError) {
        guard !isClosed else {
            throw SegmentError(.misuse, "the encoder has finished, or failed before")
        }
    }
}

extension SegmentLayout {
    /// The log segments in a log segment (itself) or pack whose bytes are `bytes`.
    func members(in bytes: [UInt8]) throws(SegmentError) -> [PackMember] {
        guard header.kind == .pack else { return [PackMember(header: header, footer: footer)] }
        let range = PackIndex.range(of: self)
        let index = Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
        return try PackIndex(layout: self, bytes: index).members
    }
}
