import Bytes
import PageHashing
import Platform
import WALFormat

/// The hashes of all pages of a state.
struct PageHashList {
    /// The low 64 bits of the hash of page n at place n − 1; of the lock page zero.
    fileprivate(set) var low: [UInt64] = []
    /// The state's digest.
    private(set) var digest = DatabaseDigest.zero

    private var pageSize: PageSize

    /// Bytes that are read at once: two of these fit a processor's cache.
    private static let runBytes = 256 << 10

    /// Hashes `pageCount` pages. `read` fills a buffer with as many pages as fit, from one on.
    ///
    /// Large databases are read by the caller and hashed by a thread beside it, so that this takes
    /// hardly longer than reading.
    init(
        pageCount: UInt32,
        pageSize: PageSize,
        _ read: (PageNumber, UnsafeMutableRawBufferPointer) throws -> Void
    ) throws {
        self.pageSize = pageSize
        let step = max(1, Self.runBytes / pageSize.bytes)
        let firsts = stride(from: 1, through: Int(pageCount), by: step)
        let pages: (Int) -> Int = { min(step, Int(pageCount) - $0 + 1) }
        guard Int(pageCount) > 4 * step else {
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: step * pageSize.bytes,
                alignment: 64
            )
            defer { buffer.deallocate() }
            for first in firsts {
                let run = UnsafeMutableRawBufferPointer(
                    rebasing: buffer[..<(pages(first) * pageSize.bytes)]
                )
                try read(PageNumber(UInt32(first)), run)
                add(UnsafeRawBufferPointer(run)[...], from: UInt32(first))
            }
            return
        }
        let hasher = try RunHasher(
            self,
            pageCount: pageCount,
            runBytes: step * pageSize.bytes
        )
        do {
            for first in firsts {
                let run = hasher.buffer(of: pages(first) * pageSize.bytes)
                try read(PageNumber(UInt32(first)), run)
                hasher.hash(run, from: UInt32(first))
            }
        } catch {
            _ = hasher.finish()
            throw error
        }
        self = hasher.finish()
    }

    /// Adds the pages that follow.
    fileprivate mutating func add(_ run: Slice<UnsafeRawBufferPointer>, from first: UInt32) {
        for place in 0..<(run.count / pageSize.bytes) {
            let page = PageNumber(first + UInt32(place))
            guard page != pageSize.lockPage else {
                low.append(0)
                continue
            }
            let start = place * pageSize.bytes
            let hash = PageHasher.hash(
                UnsafeRawBufferPointer(rebasing: run[start..<(start + pageSize.bytes)]),
                number: page
            )
            low.append(hash.low)
            digest = digest &+ hash
        }
    }
}

/// A thread that hashes one run of pages while the next is read.
// Unchecked: a slot belongs to the reader until it signals `filled` and to the thread until it
// signals `free`; the list belongs to the thread until it signals `ended`.
private final class RunHasher: @unchecked Sendable {
    private final class Slot {
        let buffer: UnsafeMutableRawBufferPointer
        /// The pages in it: the first one, and bytes. Nil tells the thread to end.
        var run: (first: UInt32, count: Int)?

        init(bytes: Int) { buffer = .allocate(byteCount: bytes, alignment: 64) }

        deinit { buffer.deallocate() }
    }

    private var list: PageHashList
    private let slots: [Slot]
    /// Runs that were handed over.
    private var count = 0
    private let free = Semaphore()
    private let filled = Semaphore()
    private let ended = Semaphore()

    init(_ list: PageHashList, pageCount: UInt32, runBytes: Int) throws(SystemError) {
        self.list = list
        self.list.low.reserveCapacity(Int(pageCount))
        slots = (0..<2).map { _ in Slot(bytes: runBytes) }
        for _ in slots { free.signal() }
        try DedicatedThread.start { [self] in work() }
    }

    private var next: Slot { slots[count % slots.count] }

    /// A buffer for the next run, once it is free.
    func buffer(of bytes: Int) -> UnsafeMutableRawBufferPointer {
        free.wait()
        return UnsafeMutableRawBufferPointer(rebasing: next.buffer[..<bytes])
    }

    /// Hands over that buffer, filled.
    func hash(_ run: UnsafeMutableRawBufferPointer, from first: UInt32) {
        submit((first, run.count))
    }

    /// Waits for what was handed over, and ends the thread.
    func finish() -> PageHashList {
        free.wait()
        submit(nil)
        ended.wait()
        return list
    }

    private func submit(_ run: (first: UInt32, count: Int)?) {
        next.run = run
        count += 1
        filled.signal()
    }

    private func work() {
        var place = 0
        while true {
            let slot = slots[place % slots.count]
            filled.wait()
            guard let run = slot.run else { break }
            list.add(UnsafeRawBufferPointer(slot.buffer)[..<run.count], from: run.first)
            free.signal()
            place += 1
        }
        ended.signal()
    }
}
