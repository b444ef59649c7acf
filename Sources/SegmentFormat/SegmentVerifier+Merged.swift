import Bytes
import PageHashing
import Zstandard

/// What is particular to segments that were made of others.
extension SegmentVerifier {
    /// Rebuilds every member of a pack, and checks that it is the log segment that its checksum
    /// names: the whole of it, byte for byte.
    static func verifyMembers(
        _ bytes: [UInt8],
        _ layout: SegmentLayout
    ) throws(SegmentError) {
        var blocks = layout.blocks.filter { $0.kind != .members }[...]
        for member in try layout.members(in: bytes) {
            let own = blocks.prefix(Int(member.footer.blockCount))
            blocks = blocks.dropFirst(own.count)
            try verify(member, own, in: bytes)
        }
    }

    private static func verify(
        _ member: PackMember,
        _ blocks: ArraySlice<BlockEntry>,
        in bytes: [UInt8]
    ) throws(SegmentError) {
        var table: [UInt8] = []
        var stream = ChecksumStream()
        var offset = UInt64(SegmentHeader.encodedSize)
        stream.update(member.header.encode())
        let starts = (
            meta: blocks.first { $0.kind == .meta }?.first ?? 0,
            content: blocks.first { $0.kind == .content }?.first ?? 0
        )
        for block in blocks {
            var entry = block
            entry.offset = offset
            entry.first -= block.kind == .meta ? starts.meta : starts.content
            entry.append(to: &table)
            offset += UInt64(block.storedLength)
            block.of(bytes).withUnsafeBytes { stream.update($0) }
        }
        do throws(SegmentError) {
            _ = try SegmentLayout(
                header: member.header,
                footer: member.footer,
                table: table,
                fileSize: offset + UInt64(table.count + SegmentFooter.encodedSize)
            )
        } catch {
            throw SegmentError(error.code, at: blocks.first?.offset, error.message)
        }
        stream.update(table)
        stream.update(member.footer.encodeCovered())
        guard stream.finish() == member.footer.checksum else {
            throw SegmentError(
                .checksumMismatch,
                at: blocks.first?.offset,
                "the pack's blocks are not those of its member \(member.name)"
            )
        }
    }

    static func verifyLevel(
        _ bytes: [UInt8],
        _ layout: SegmentLayout,
        _ decompressor: inout Decompressor
    ) throws(SegmentError) {
        let (header, footer) = (layout.header, layout.footer)
        var sequence = LevelSequence(
            pageSize: header.pageSize,
            before: header.pageCountBefore,
            after: footer.pageCountAfter
        )
        var stored: [PageEntry] = []
        for block in layout.blocks where block.kind == .meta {
            for entry in try LevelBlocks.decodeMeta(block.of(bytes), block, using: &decompressor) {
                if let problem = sequence.add(entry) {
                    throw SegmentError(.inconsistent, at: block.offset, problem)
                }
                if entry.change == .whole { stored.append(entry) }
            }
        }
        // The layout says that both are there.
        if let before = header.digestBefore, let after = footer.digestAfter,
            let problem = sequence.end(digestBefore: before, digestAfter: after)
        {
            throw SegmentError(.inconsistent, problem)
        }
        var next = stored[...]
        for block in layout.blocks where block.kind == .content {
            let content = try LevelBlocks.decodeContent(
                block.of(bytes),
                block,
                using: &decompressor
            )
            guard next.first.map({ UInt64($0.page.rawValue) }) == block.first else {
                throw SegmentError(
                    .inconsistent,
                    at: block.offset,
                    "a block begins with another page than its entry says"
                )
            }
            for index in 0..<Int(block.count) {
                // The layout says that there are as many pages as records that have one.
                guard let entry = next.popFirst() else { break }
                let hash = content.hash(page: entry.page, at: index, size: header.pageSize)
                guard hash.low == entry.resultHash else {
                    throw SegmentError(
                        .checksumMismatch,
                        at: block.offset,
                        "page \(entry.page) does not have its recorded hash"
                    )
                }
            }
        }
    }
}
