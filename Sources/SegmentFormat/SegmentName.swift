package import Bytes

/// What a segment's key says: enough to plan with a LIST alone.
///
/// `<level>/<min TXID>-<max TXID>-<time>-<writer tag>.<extension>`, all but the extension in
/// fixed-width lower-case hexadecimal, so that keys sort by level and TXID.
package struct SegmentName: Hashable, Sendable, CustomStringConvertible {
    /// What the segment holds.
    package let kind: SegmentKind
    /// The folder that it lies in.
    package let level: UInt8
    /// The first commit held; of a snapshot the TXID of its first slice.
    package let minTXID: TXID
    /// The last commit held; of a snapshot the TXID whose state it serves.
    package let maxTXID: TXID
    /// When the last commit was seen.
    package let time: Timestamp
    /// Who wrote it.
    package let writer: WriterTag

    /// A name; without `level` the kind's lowest.
    package init(
        kind: SegmentKind,
        level: UInt8? = nil,
        minTXID: TXID,
        maxTXID: TXID,
        time: Timestamp,
        writer: WriterTag
    ) {
        self.kind = kind
        self.level = level ?? kind.levels.lowerBound
        self.minTXID = minTXID
        self.maxTXID = maxTXID
        self.time = time.storable
        self.writer = writer
    }

    /// The name of the segment with that header and footer.
    package init(header: SegmentHeader, footer: SegmentFooter) {
        self.init(
            kind: header.kind,
            level: header.level,
            minTXID: header.minTXID,
            maxTXID: footer.maxTXID,
            time: footer.lastTime,
            writer: header.writer
        )
    }

    /// The last part of the key: `…-….log`.
    package var fileName: String {
        let time = Hex.string(UInt64(time.milliseconds), digits: 12)
        return "\(minTXID)-\(maxTXID)-\(time)-\(writer).\(kind.fileExtension)"
    }

    /// The folder of a level.
    package static func folder(level: UInt8) -> String { Hex.string(UInt64(level), digits: 2) }

    /// The key below the generation's folder: level folder and file name.
    package var path: String { Self.folder(level: level) + "/" + fileName }

    package var description: String { path }

    /// The name in a key below the generation's folder, or nil when it is not exactly what
    /// `path` would say.
    package init?(path: String) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let level = Hex.parse(parts[0], digits: 2),
            let dot = parts[1].firstIndex(of: "."),
            let kind = SegmentKind(fileExtension: parts[1][parts[1].index(after: dot)...]),
            kind.levels.contains(UInt8(level))
        else { return nil }
        let fields = parts[1][..<dot].split(separator: "-", omittingEmptySubsequences: false)
        guard fields.count == 4, let minTXID = TXID(hex: fields[0]),
            let maxTXID = TXID(hex: fields[1]), let time = Hex.parse(fields[2], digits: 12),
            let writer = WriterTag(hex: fields[3]), minTXID <= maxTXID,
            maxTXID <= SegmentLimits.maxTXID, kind == .snapshot || minTXID > .zero
        else { return nil }
        self.init(
            kind: kind,
            level: UInt8(level),
            minTXID: minTXID,
            maxTXID: maxTXID,
            time: Timestamp(milliseconds: Int64(time)),
            writer: writer
        )
        guard self.path == path else { return nil }
    }
}
