import Bytes
import ObjectStorage
import SegmentFormat

extension SampleHistory {
    /// Merges log segments into a pack, which replaces them.
    @discardableResult func pack(_ keys: [ObjectKey], keeping: Bool = false) async throws
        -> ObjectKey
    {
        let folder = "highwater-1/\(generation)/"
        let names = keys.map { SegmentName(path: String($0.path.dropFirst(folder.count)))! }
        let first = try SegmentLayout(segment: store.objects[keys[0]]!).header
        let encoder = try PackEncoder(first: first, lastWriter: names.last!.writer)
        for (key, name) in zip(keys, names) {
            try encoder.append(store.objects[key]!, name: name)
        }
        let finished = try encoder.finish()
        let name = SegmentName(header: finished.header, footer: finished.footer)
        try await put(name.path, encoder.takeOutput())
        if !keeping { try await store.delete(keys) }
        return ObjectKey(folder + name.path)!
    }

    /// Stores a level of the window from the state after `start` to the one as it is.
    @discardableResult func level(_ number: UInt8, after start: TXID) async throws -> ObjectKey {
        let (old, new) = (states[start]!, pages)
        let encoder = try LevelEncoder(
            header: SegmentHeader(
                kind: .level,
                level: number,
                pageSize: pageSize,
                minTXID: start.next,
                writer: writer,
                digestBefore: Self.digest(old),
                pageCountBefore: UInt32(old.count),
                generation: generation
            ),
            end: LevelEnd(
                txid: txid,
                digest: Self.digest(new),
                pageCount: UInt32(new.count),
                firstTime: times[start.next]!,
                lastTime: clock
            )
        )
        for index in 0..<max(old.count, new.count) {
            let number = PageNumber(UInt32(index + 1))
            let before = index < old.count ? Self.hash(old[index], index + 1).low : nil
            if index >= new.count {
                try encoder.append(removed: number, hashBefore: before!)
            } else if index >= old.count || old[index] != new[index] {
                try new[index].withUnsafeBytes {
                    try encoder.append(page: number, hashBefore: before, content: $0)
                }
            }
        }
        _ = try encoder.finish()
        let name = encoder.name
        try await put(name.path, encoder.takeOutput())
        return ObjectKey("highwater-1/\(generation)/\(name.path)")!
    }

    /// A history with snapshots, packs, levels of several sizes, and log segments.
    static func merged(seed: UInt64) async throws -> SampleHistory {
        var history = SampleHistory(seed: seed, pageCount: 30)
        try await history.beginGeneration()
        try await history.snapshot()
        let begin = history.txid
        for hour in 0..<3 {
            let hourBegin = history.txid
            var keys: [ObjectKey] = []
            for _ in 0..<3 {
                let start = history.txid
                keys.append(try await history.log(commits: history.random.number(2...5)))
                keys.append(try await history.log(commits: 2))
                try await history.level(1, after: start)
            }
            try await history.level(2, after: hourBegin)
            if hour < 2 { try await history.pack(keys, keeping: hour == 1) }
        }
        try await history.level(3, after: begin)
        try await history.log(commits: 3)
        return history
    }
}
