import Bytes
import PageHashing
import Zstandard

@testable import SegmentFormat

extension FuzzTarget {
    /// Objects of our own format.
    static let segments = [
        FuzzTarget("segment", decodeSegment),
        FuzzTarget("segment-sealed") { decodeSegment(Sealing.sealed($0)) },
        FuzzTarget("segment-ends", decodeEnds),
        FuzzTarget("log-records", decodeRecords),
        FuzzTarget("pack-members", decodeMembers),
    ]

    /// A whole segment of any kind.
    private static func decodeSegment(_ bytes: [UInt8]) -> Bool {
        do throws(SegmentError) {
            let layout = try SegmentVerifier.verify(bytes)
            promise(layout.header.encode() == Array(bytes.prefix(144)), "header")
            promise(layout.footer.encode() == Array(bytes.suffix(144)), "footer")
            promise(SegmentName(path: layout.name.path) == layout.name, "\(layout.name)")
            if layout.header.kind == .pack { _ = try layout.members(in: bytes) }
            return true
        } catch {
            _ = error.about("x").description
            return false
        }
    }

    /// A header, a footer, and the block table's place: what a restore asks for first.
    private static func decodeEnds(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 288 else { return false }
        let sealed = Sealing.sealed(bytes)
        do throws(SegmentError) {
            let header = try SegmentHeader(decoding: Array(sealed.prefix(144)))
            promise(header.encode() == Array(sealed.prefix(144)), "header")
            let footer = try SegmentFooter(decoding: Array(sealed.suffix(144)), offset: 144)
            promise(footer.encode() == Array(sealed.suffix(144)), "footer")
            // What the object's size says may be anything.
            for size in [UInt64(bytes.count), footer.tableOffset &+ 144, .max, 0] {
                _ = try? SegmentLayout.tableRange(header: header, footer: footer, fileSize: size)
            }
            return true
        } catch {
            return false
        }
    }

    /// The records of a log's meta block, as they are before compression; 8 bytes in front say
    /// what the header would.
    private static func decodeRecords(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 9, bytes.count < SegmentLimits.metaBlockBytes else { return false }
        let pageCount = bytes.span.bytes.littleEndian(at: 0, as: UInt32.self)
        let raw = Array(bytes[8...])
        var compressor = Compressor(level: 1)
        guard let size = PageSize(512 << Int(bytes[4] & 7)),
            let stored = try? compressor.compress(raw)
        else { return false }
        do throws(SegmentError) {
            // The table says how many; a hostile one may say anything.
            let records = try LogBlocks.decodeMeta(
                stored,
                entry(.meta, of: stored, raw: raw.count, count: UInt32(bytes[5]) + 1)
            )
            var encoded: [UInt8] = []
            for record in records {
                switch record {
                case .page(let entry): entry.append(to: &encoded)
                case .commit(let commit): commit.append(to: &encoded)
                }
            }
            promise(encoded == raw, "records")
            let header = SegmentHeader(
                kind: .log,
                pageSize: size,
                minTXID: TXID(UInt64(bytes[6])),
                writer: WriterTag(1),
                digestBefore: bytes[7] & 1 == 0 ? nil : .zero,
                pageCountBefore: pageCount,
                generation: GenerationID(time: Timestamp(milliseconds: 0), random: 1)
            )
            try header.validate(.invalidField)
            var checker = LogRecordChecker(header: header)
            for record in records { try checker.check(record) }
            return true
        } catch {
            return false
        }
    }

    /// The members of a pack, as they are before compression, with their checksums made right.
    private static func decodeMembers(_ bytes: [UInt8]) -> Bool {
        let size = PackMember.encodedSize
        guard bytes.count >= size, bytes.count < SegmentLimits.metaBlockBytes else { return false }
        let count = bytes.count / size
        var raw: [UInt8] = []
        for index in 0..<count {
            let member = Array(bytes[index * size..<(index + 1) * size])
            raw += Sealing.sealed(member, asWhole: false)
        }
        var compressor = Compressor(level: 1)
        guard let stored = try? compressor.compress(raw) else { return false }
        do throws(SegmentError) {
            let members = try PackBlocks.decodeMembers(
                stored[...],
                entry(.members, of: stored, raw: raw.count, count: UInt32(count))
            )
            guard let first = members.first else { return false }
            var header = first.header
            header.kind = .pack
            var rules = PackRules(header: header)
            for member in members {
                guard rules.add(member) == nil else { return false }
            }
            return rules.summary != nil
        } catch {
            return false
        }
    }

    private static func entry(
        _ kind: BlockKind,
        of stored: [UInt8],
        raw: Int,
        count: UInt32
    ) -> BlockEntry {
        BlockEntry(
            kind: kind,
            count: count,
            offset: 144,
            storedLength: UInt32(stored.count),
            rawLength: UInt32(raw),
            checksum: Checksum64.of(stored),
            first: 0,
            txid: TXID(1)
        )
    }
}

/// Makes the checksums of a segment right, whatever its numbers say: what a hostile writer does,
/// and the only way past them for a fuzzer.
enum Sealing {
    /// `asWhole` false: the header and footer of a member, whose checksum is another file's.
    static func sealed(_ bytes: [UInt8], asWhole: Bool = true) -> [UInt8] {
        guard bytes.count >= 288 else { return bytes }
        var out = bytes
        let foot = out.count - 144
        out.replaceSubrange(0..<8, with: SegmentHeader.magic)
        out.replaceSubrange(out.count - 8..<out.count, with: SegmentFooter.magic)
        put(Checksum64.of(out[..<136]), at: 136, &out)
        let start = number(out, foot, UInt64.self)
        let length = Int(number(out, foot + 8, UInt32.self))
        if start >= 144, start <= UInt64(foot), length <= foot - Int(start) {
            let table = Int(start)
            for place in stride(from: table, to: table + length - 47, by: 48) {
                let offset = number(out, place + 8, UInt64.self)
                let size = Int(number(out, place + 16, UInt32.self))
                guard offset >= 144, offset <= UInt64(table), size <= table - Int(offset) else {
                    continue
                }
                put(Checksum64.of(out[Int(offset)..<Int(offset) + size]), at: place + 24, &out)
            }
            put(Checksum64.of(out[table..<table + length]), at: foot + 16, &out)
        }
        if asWhole {
            var whole = ChecksumStream()
            whole.update(Array(out[..<(foot + 112)]))
            let sum = whole.finish()
            put(sum.low, at: foot + 112, &out)
            put(sum.high, at: foot + 120, &out)
        }
        put(Checksum64.of(out[foot..<foot + 128]), at: foot + 128, &out)
        return out
    }

    private static func number<T: FixedWidthInteger & BitwiseCopyable>(
        _ bytes: [UInt8],
        _ offset: Int,
        _ type: T.Type
    ) -> T {
        bytes.span.bytes.littleEndian(at: offset, as: type)
    }

    private static func put(_ value: UInt64, at offset: Int, _ bytes: inout [UInt8]) {
        for index in 0..<8 {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8))
        }
    }
}
