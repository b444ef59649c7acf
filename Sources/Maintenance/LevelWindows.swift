package import Bytes
import SegmentFormat

/// The windows of an agent's levels: what changed in each since it began, and what a restore
/// fetches of it without a level (DESIGN §5).
///
/// A window takes in what the one below it held when that ended, so that nothing is counted twice
/// and no level has to be read to build the next. No I/O.
package struct LevelWindows: Sendable {
    /// A window that has ended: a level that may be stored.
    package struct Candidate: Sendable {
        /// The level.
        package let level: UInt8
        /// The pages, and the states at both ends.
        package let changes: ChangedPages
        /// Bytes that a restore fetches without the level.
        package let skippedBytes: UInt64

        /// The longest that the level may be to be worth its bytes.
        package var byteLimit: UInt64 { skippedBytes / 2 }
    }

    private struct Window: Sendable {
        var changes: ChangedPages
        var byteCount: UInt64

        mutating func append(_ next: Window) {
            changes.append(next.changes)
            byteCount += next.byteCount
        }
    }

    private let policy: LevelPolicy
    /// Milliseconds after the end of a window, so that many databases do not build theirs at once.
    private let delay: Int64
    /// By level − 1; each begins where the one above it ends.
    private var open: [Window?]

    /// Pages that are remembered for a window; a longer one gets no level.
    private static let pagesMax = 1 << 19

    /// Windows by `policy`, each ended `delay` milliseconds late.
    package init(policy: LevelPolicy, delay: Int64 = 0) {
        self.policy = policy
        self.delay = delay
        open = Array(repeating: nil, count: min(policy.periods.count, 254))
    }

    /// The last commit in the windows; nil while there is none.
    package var last: TXID? { open.lazy.compactMap { $0 }.first?.changes.end.txid }

    /// Adds what a segment of the log changed, `byteCount` bytes long.
    ///
    /// Windows whose states or pages cannot be proven, or that it does not go on from, are dropped.
    package mutating func add(_ changes: ChangedPages, byteCount: UInt64) {
        guard !open.isEmpty else { return }
        if let last, last != changes.start.txid { drop() }
        guard changes.isProvable else { return drop() }
        let segment = Window(changes: changes, byteCount: byteCount)
        Self.append(segment, to: &open[0])
        if let window = open[0], window.changes.count > Self.pagesMax { drop() }
    }

    /// Forgets all windows; the next segment begins them anew.
    package mutating func drop() {
        for level in open.indices { open[level] = nil }
    }

    /// When the next window ends; nil while nothing has changed.
    package var nextEnd: Timestamp? {
        let numbers = numbers
        return open.indices.compactMap { index -> Timestamp? in
            guard let number = numbers[index] else { return nil }
            return Timestamp(milliseconds: (number + 1) * policy.periods[index] + delay)
        }.min()
    }

    /// The number of each level's window; nil where nothing has changed. What has changed in the
    /// windows below is part of it.
    private var numbers: [Int64?] {
        var first: Timestamp?
        return open.indices.map { index in
            first = open[index]?.changes.firstTime ?? first
            return first.map { policy.window(of: $0, level: UInt8(index + 1)) }
        }
    }

    /// Ends the windows that are over at `now`, with the last commit added as their end. What may
    /// be stored comes highest level first: of these the first that is worth it makes the others
    /// needless.
    package mutating func close(at now: Timestamp) -> [Candidate] {
        let time = Timestamp(milliseconds: now.milliseconds - delay)
        let numbers = numbers
        let highest = open.indices.last { index in
            numbers[index].map { $0 < policy.window(of: time, level: UInt8(index + 1)) } ?? false
        }
        guard let highest else { return [] }
        var candidates: [Candidate] = []
        var below: Window?
        for index in 0...highest {
            if let window = below { Self.append(window, to: &open[index]) }
            below = open[index].take()
            guard let window = below, isWorthTrying(window) else { continue }
            candidates.insert(
                Candidate(
                    level: UInt8(index + 1),
                    changes: window.changes,
                    skippedBytes: window.byteCount
                ),
                at: 0
            )
        }
        if let window = below, highest + 1 < open.count {
            Self.append(window, to: &open[highest + 1])
            if let all = open[highest + 1], all.changes.count > Self.pagesMax {
                for index in (highest + 1)..<open.count { open[index] = nil }
            }
        }
        return candidates
    }

    /// The level of a candidate is in the store: higher ones spare a restore less now.
    package mutating func stored(_ candidate: Candidate, byteCount: UInt64) {
        let start = candidate.changes.start.txid
        let end = candidate.changes.end.txid
        for index in open.indices.dropFirst(Int(candidate.level)) {
            guard let window = open[index], window.changes.start.txid <= start,
                window.changes.end.txid >= end
            else { continue }
            let spared = candidate.skippedBytes - min(byteCount, candidate.skippedBytes)
            open[index]?.byteCount -= min(spared, window.byteCount)
            return
        }
    }

    private func isWorthTrying(_ window: Window) -> Bool {
        // A page takes its record at least, half of which no compression makes shorter.
        window.changes.isProvable && window.byteCount >= policy.leastBytes
            && UInt64(window.changes.count) * 16 <= window.byteCount / 2
    }

    private static func append(_ next: Window, to window: inout Window?) {
        if window == nil {
            window = next
        } else {
            window?.append(next)
        }
    }
}
