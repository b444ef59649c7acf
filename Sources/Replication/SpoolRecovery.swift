import BackupCatalog
import Bytes
import Glibc
import PageHashing
import Platform
import SegmentFormat

/// Segments that an earlier process made safe in the spool and that the store does not have yet:
/// commits that may be nowhere else any more, since their frames may have left the WAL.
struct SpoolRecovery {
    /// One of them.
    struct Segment {
        let name: SegmentName
        let path: String
        let footer: SegmentFooter
    }

    /// The segments that go on from the store's last commit, in order, each linked to the one
    /// before.
    private(set) var chain: [Segment] = []
    /// Commits in other whole segments that nothing links to: they cannot be used.
    private(set) var unlinked: [SegmentName] = []

    /// Looks through the spool of `generation` for what goes on after `tip`. Damaged files are
    /// passed over: the chain then ends before them.
    init(folder: String, generation: GenerationID, after tip: ResumePoint) throws {
        let folder = "\(folder)/\(generation)"
        guard try FileSystem.status(folder) != nil else { return }
        let names = try FileSystem.names(in: folder)
            .compactMap { SegmentName(path: SegmentName.folder(level: 0) + "/" + $0) }
            .filter { $0.kind == .log && $0.maxTXID > tip.txid }
            .sorted { ($0.minTXID, $0.maxTXID) < ($1.minTXID, $1.maxTXID) }
        var last = (txid: tip.txid, link: tip.link)
        for name in names {
            let path = "\(folder)/\(name.fileName)"
            guard name.minTXID == last.txid.next,
                let found = try Self.read(path, name: name, generation: generation),
                found.header.link == last.link
            else {
                unlinked.append(name)
                continue
            }
            chain.append(Segment(name: name, path: path, footer: found.footer))
            last = (name.maxTXID, found.footer.checksum)
        }
    }

    /// Where the history ends with them.
    func resumePoint(after tip: ResumePoint) -> ResumePoint {
        guard let footer = chain.last?.footer else { return tip }
        return ResumePoint(
            txid: footer.maxTXID,
            time: footer.lastTime,
            position: footer.position,
            digest: footer.digestAfter,
            pageCount: footer.pageCountAfter,
            pageSize: tip.pageSize,
            link: footer.checksum
        )
    }

    /// Applies them to the page hashes of the state that they go on from.
    func apply(to index: inout PageHashIndex) throws {
        for segment in chain {
            let file = try FileDescriptor(path: segment.path, flags: O_RDONLY)
            let size = Int(try file.status().size)
            try index.apply(segment: Self.bytes(of: file, at: 0, count: size))
        }
    }

    /// Header and footer of a spooled segment that is whole; nil of one that is not.
    private static func read(
        _ path: String,
        name: SegmentName,
        generation: GenerationID
    ) throws(SystemError) -> (header: SegmentHeader, footer: SegmentFooter)? {
        let file = try FileDescriptor(path: path, flags: O_RDONLY)
        let size = try file.status().size
        let (head, foot) = (SegmentHeader.encodedSize, SegmentFooter.encodedSize)
        guard size >= Int64(head + foot) else { return nil }
        let start = size - Int64(foot)
        guard
            let header = try? SegmentHeader(decoding: bytes(of: file, at: 0, count: head)),
            let footer = try? SegmentFooter(
                decoding: bytes(of: file, at: start, count: foot),
                offset: UInt64(start)
            ),
            header.generation == generation, SegmentName(header: header, footer: footer) == name
        else { return nil }
        // docs/FORMAT.md §4.3: the checksum covers all but the last 32 bytes.
        var checksum = ChecksumStream()
        var offset: Int64 = 0
        while offset < size - 32 {
            let piece = try bytes(
                of: file,
                at: offset,
                count: Int(min(1 << 20, size - 32 - offset))
            )
            guard !piece.isEmpty else { return nil }
            checksum.update(piece)
            offset += Int64(piece.count)
        }
        return checksum.finish() == footer.checksum ? (header, footer) : nil
    }

    private static func bytes(
        of file: borrowing FileDescriptor,
        at offset: Int64,
        count: Int
    ) throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var failure: SystemError?
        let read = bytes.withUnsafeMutableBytes { buffer -> Int in
            do throws(SystemError) { return try file.read(into: buffer, at: offset) } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return Array(bytes.prefix(read))
    }
}
