import Bytes
import PageHashing
package import Zstandard

/// The blocks of a log segment or pack, decoded one by one; a pack's members are `PackIndex`.
///
/// Blocks come from `SegmentLayout.blocks`, whose numbers are checked.
package enum LogBlocks {
    /// The records in the meta block `entry`, whose stored bytes are `bytes`.
    package static func decodeMeta(
        _ bytes: ArraySlice<UInt8>,
        _ entry: BlockEntry,
        using decompressor: inout Decompressor
    ) throws(SegmentError) -> [LogRecord] {
        let content = try entry.content(of: bytes, as: .meta, using: &decompressor)
        var fields = FieldReader(content[...], base: 0)
        var records: [LogRecord] = []
        records.reserveCapacity(Int(entry.count))
        do throws(SegmentError) {
            for _ in 0..<entry.count { records.append(try LogRecord.next(&fields)) }
        } catch {
            throw SegmentError(error.code, at: entry.offset, error.message)
        }
        guard fields.remaining == 0 else {
            throw SegmentError(.inconsistent, at: entry.offset, "a meta block has bytes left over")
        }
        return records
    }

    /// The pages in the content block `entry`, one after another.
    package static func decodeContent(
        _ bytes: ArraySlice<UInt8>,
        _ entry: BlockEntry,
        using decompressor: inout Decompressor
    ) throws(SegmentError) -> [UInt8] {
        try entry.content(of: bytes, as: .content, using: &decompressor)
    }

    /// The same, with a decompression context of its own: for a block now and then.
    package static func decodeMeta(
        _ bytes: [UInt8],
        _ entry: BlockEntry
    ) throws(SegmentError) -> [LogRecord] {
        var decompressor = Decompressor()
        return try decodeMeta(bytes[...], entry, using: &decompressor)
    }

    /// The same, with a decompression context of its own: for a block now and then.
    package static func decodeContent(
        _ bytes: [UInt8],
        _ entry: BlockEntry
    ) throws(SegmentError) -> [UInt8] {
        var decompressor = Decompressor()
        return try decodeContent(bytes[...], entry, using: &decompressor)
    }
}

/// The blocks of a snapshot, decoded one by one.
///
/// Blocks come from `SegmentLayout.blocks`, whose numbers are checked.
package enum SnapshotBlocks {
    /// The low halves of the page hashes in the meta block `entry`, in page order.
    package static func decodeMeta(
        _ bytes: ArraySlice<UInt8>,
        _ entry: BlockEntry,
        using decompressor: inout Decompressor
    ) throws(SegmentError) -> [UInt64] {
        let content = try entry.content(of: bytes, as: .meta, using: &decompressor)
        var fields = FieldReader(content[...], base: 0)
        return (0..<entry.count).map { _ in fields.next() }
    }

    /// The pages in the content block `entry`, one after another.
    package static func decodeContent(
        _ bytes: ArraySlice<UInt8>,
        _ entry: BlockEntry,
        using decompressor: inout Decompressor
    ) throws(SegmentError) -> [UInt8] {
        try entry.content(of: bytes, as: .content, using: &decompressor)
    }

    /// The same, with a decompression context of its own: for a block now and then.
    package static func decodeMeta(
        _ bytes: [UInt8],
        _ entry: BlockEntry
    ) throws(SegmentError) -> [UInt64] {
        var decompressor = Decompressor()
        return try decodeMeta(bytes[...], entry, using: &decompressor)
    }

    /// The same, with a decompression context of its own: for a block now and then.
    package static func decodeContent(
        _ bytes: [UInt8],
        _ entry: BlockEntry
    ) throws(SegmentError) -> [UInt8] {
        var decompressor = Decompressor()
        return try decodeContent(bytes[...], entry, using: &decompressor)
    }
}

/// The blocks of a level, decoded one by one.
///
/// Blocks come from `SegmentLayout.blocks`, whose numbers are checked.
package enum LevelBlocks {
    /// The records in the meta block `entry`, in page order: whole pages and removed ones.
    ///
    /// Of the content blocks' pages, the first belongs to the level's first whole page, and so on.
    package static func decodeMeta(
        _ bytes: ArraySlice<UInt8>,
        _ entry: BlockEntry,
        using decompressor: inout Decompressor
    ) throws(SegmentError) -> [PageEntry] {
        var entries: [PageEntry] = []
        entries.reserveCapacity(Int(entry.count))
        for record in try LogBlocks.decodeMeta(bytes, entry, using: &decompressor) {
            guard case .page(let page) = record,
                page.change == .whole || page.change == .removed(hasContent: false)
            else {
                throw SegmentError(
                    .unsupported,
                    at: entry.offset,
                    "a level has a record that is neither a whole page nor a removed one"
                )
            }
            entries.append(page)
        }
        guard entries.first.map({ UInt64($0.page.rawValue) }) == entry.first else {
            throw SegmentError(
                .inconsistent,
                at: entry.offset,
                "a block begins with another page than its entry says"
            )
        }
        return entries
    }

    /// The pages in the content block `entry`, one after another.
    package static func decodeContent(
        _ bytes: ArraySlice<UInt8>,
        _ entry: BlockEntry,
        using decompressor: inout Decompressor
    ) throws(SegmentError) -> [UInt8] {
        try entry.content(of: bytes, as: .content, using: &decompressor)
    }
}

/// The MEMBERS blocks of a pack.
enum PackBlocks {
    /// The members in `entry`.
    static func decodeMembers(
        _ bytes: ArraySlice<UInt8>,
        _ entry: BlockEntry
    ) throws(SegmentError) -> [PackMember] {
        var decompressor = Decompressor()
        let content = try entry.content(of: bytes, as: .members, using: &decompressor)
        var fields = FieldReader(content[...], base: 0)
        var members: [PackMember] = []
        do throws(SegmentError) {
            for _ in 0..<entry.count { members.append(try PackMember(decoding: &fields)) }
        } catch {
            throw SegmentError(error.code, at: entry.offset, "a pack's member: \(error.message)")
        }
        return members
    }
}

extension BlockEntry {
    /// The decompressed block, after its checksum was found right.
    fileprivate func content(
        of bytes: ArraySlice<UInt8>,
        as expected: BlockKind,
        using decompressor: inout Decompressor
    ) throws(SegmentError) -> [UInt8] {
        precondition(kind == expected, "the caller asked for the right kind of block")
        guard bytes.count == Int(storedLength) else {
            throw SegmentError(.wrongLength, at: offset, "a block is cut off")
        }
        guard Checksum64.of(bytes) == checksum else {
            throw SegmentError(.checksumMismatch, at: offset, "a block's checksum is wrong")
        }
        let size = Int(rawLength)
        let result: Result<[UInt8], ZstandardError> = bytes.withUnsafeBytes { source in
            Result { () throws(ZstandardError) in
                try decompressor.decompress(source, exactly: size)
            }
        }
        switch result {
        case .success(let content): return content
        case .failure(let error): throw SegmentError(.compression, at: offset, error.message)
        }
    }
}
