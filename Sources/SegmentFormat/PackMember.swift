import Bytes

/// A log segment in a pack: its header and footer, as they were when it was an object of its own.
///
/// With its blocks, which follow those of the member before, they make up the log segment again,
/// byte for byte. So its writer, link and checksum are kept, and the chain goes through the pack.
package struct PackMember: Hashable, Sendable {
    /// The log segment's first 144 bytes.
    package let header: SegmentHeader
    /// The log segment's last 144 bytes.
    package let footer: SegmentFooter

    /// Bytes of every member in a MEMBERS block.
    package static let encodedSize = SegmentHeader.encodedSize + SegmentFooter.encodedSize
    /// The most members of a MEMBERS block.
    static let countPerBlock = SegmentLimits.metaBlockBytes / encodedSize

    /// The key that the log segment had below its generation's folder.
    package var name: SegmentName { SegmentName(header: header, footer: footer) }

    init(header: SegmentHeader, footer: SegmentFooter) {
        self.header = header
        self.footer = footer
    }

    init(decoding fields: inout FieldReader) throws(SegmentError) {
        header = try SegmentHeader(decoding: fields.take(SegmentHeader.encodedSize))
        let place = fields.offset
        footer = try SegmentFooter(
            decoding: fields.take(SegmentFooter.encodedSize),
            offset: place
        )
    }

    func append(to out: inout [UInt8]) {
        out += header.encode()
        out += footer.encode()
    }
}

/// The rules that tie a pack's members to each other and to the pack, the same for who writes and
/// who reads them. Each method says in words which rule is broken, or nil.
struct PackRules {
    private let header: SegmentHeader
    private var last: PackMember?
    private var totals = (commits: UInt64(0), entries: UInt64(0), blocks: UInt64(0))

    init(header: SegmentHeader) { self.header = header }

    /// Takes the next member.
    mutating func add(_ member: PackMember) -> String? {
        let (head, foot) = (member.header, member.footer)
        guard head.kind == .log, head.generation == header.generation,
            head.pageSize == header.pageSize
        else { return "a pack holds log segments of one generation" }
        guard head.minTXID <= foot.maxTXID,
            foot.commitCount == foot.maxTXID.rawValue - head.minTXID.rawValue + 1
        else { return "\(foot.commitCount) commits do not fill the TXIDs of \(member.name)" }
        if let last {
            guard head.minTXID == last.footer.maxTXID.next, head.link == last.footer.checksum,
                head.pageCountBefore == last.footer.pageCountAfter
            else { return "\(member.name) does not follow \(last.name)" }
            if let before = head.digestBefore, let after = last.footer.digestAfter {
                guard before == after else { return "digests before and after \(member.name)" }
            }
        } else {
            guard head.minTXID == header.minTXID, head.link == header.link,
                head.digestBefore == header.digestBefore,
                head.pageCountBefore == header.pageCountBefore
            else { return "the pack does not begin as its first member does" }
            firstTime = foot.firstTime
        }
        last = member
        // Each at most 2^63 and, by the TXIDs, together as well; page records are added with care.
        totals.commits += foot.commitCount
        let (entries, overflow) = totals.entries.addingReportingOverflow(foot.entryCount)
        guard !overflow else { return "the members have too many page records" }
        totals.entries = entries
        totals.blocks += UInt64(foot.blockCount)
        return nil
    }

    private var firstTime: Timestamp?

    /// What the pack's footer has to say.
    var summary: SegmentSummary? {
        guard let foot = last?.footer, let firstTime else { return nil }
        return SegmentSummary(
            maxTXID: foot.maxTXID,
            firstTime: firstTime,
            lastTime: foot.lastTime,
            digestAfter: foot.digestAfter,
            pageCountAfter: foot.pageCountAfter,
            position: foot.position,
            commitCount: totals.commits,
            entryCount: totals.entries
        )
    }

    /// Checks, after the last member, the pack's footer and how many blocks it has for them.
    func finish(_ footer: SegmentFooter, blockCount: Int) -> String? {
        guard let last, let summary else { return "the pack has no members" }
        guard last.header.writer == header.writer else {
            return "the pack's writer is not its last member's"
        }
        guard footer.maxTXID == summary.maxTXID, footer.firstTime == summary.firstTime,
            footer.lastTime == summary.lastTime, footer.digestAfter == summary.digestAfter,
            footer.pageCountAfter == summary.pageCountAfter,
            footer.position == summary.position, footer.commitCount == summary.commitCount,
            footer.entryCount == summary.entryCount
        else { return "the pack's footer does not fit its members" }
        guard totals.blocks == UInt64(blockCount) else {
            return "the members' blocks are not the pack's"
        }
        return nil
    }
}

/// What a pack's MEMBERS blocks say: the log segments that it was made of.
package struct PackIndex: Hashable, Sendable {
    /// The members, in the order of their commits, each linked to the one before.
    package let members: [PackMember]

    /// Where a pack's MEMBERS blocks lie, one after another before the block table.
    package static func range(of layout: SegmentLayout) -> Range<UInt64> {
        let first = layout.blocks.first { $0.kind == .members }
        return (first?.offset ?? layout.footer.tableOffset)..<layout.footer.tableOffset
    }

    /// The index, from the bytes of `range(of:)`.
    package init(layout: SegmentLayout, bytes: [UInt8]) throws(SegmentError) {
        let range = Self.range(of: layout)
        guard UInt64(bytes.count) == UInt64(range.count) else {
            throw SegmentError(.wrongLength, at: range.lowerBound, "the pack's index is cut off")
        }
        var rules = PackRules(header: layout.header)
        var members: [PackMember] = []
        for block in layout.blocks where block.kind == .members {
            let start = Int(block.offset - range.lowerBound)
            let stored = bytes[start..<start + Int(block.storedLength)]
            let found = try PackBlocks.decodeMembers(stored, block)
            guard found.first?.header.minTXID == block.txid else {
                throw SegmentError(.inconsistent, at: block.offset, "a block has a wrong TXID")
            }
            for member in found {
                if let problem = rules.add(member) {
                    throw SegmentError(.inconsistent, at: block.offset, problem)
                }
            }
            members += found
        }
        let others = layout.blocks.count { $0.kind != .members }
        if let problem = rules.finish(layout.footer, blockCount: others) {
            throw SegmentError(.inconsistent, at: range.lowerBound, problem)
        }
        self.members = members
    }
}
