import Bytes
import PageHashing
import Platform
import Synchronization

/// Pages of the output that are still being changed, in memory up to a limit.
///
/// A page is written to the file when it leaves the cache, and pages leave in ascending order.
// Sendable: every stored property that changes is touched inside `lock` only.
final class PageCache: @unchecked Sendable {
    private let lock = Mutex(())
    private var slots: [UInt32: Int] = [:]
    private var pages: [UInt32] = []
    private var hashes: [PageHash] = []
    /// Memory of a fixed number of slots each, so that growing moves no page.
    private var slabs: [UnsafeMutableRawBufferPointer] = []
    private let file: OutputFile
    private let pageBytes: Int
    private let capacity: Int

    private static let slabSlots = 256

    /// A cache of at most `bytes` for pages of `file`.
    init(_ file: OutputFile, bytes: Int) {
        self.file = file
        pageBytes = file.pageSize.bytes
        capacity = max(16, bytes / pageBytes)
    }

    deinit { for slab in slabs { slab.deallocate() } }

    /// Takes a page in, if there is room.
    func offer(_ page: UInt32, _ content: UnsafeRawBufferPointer, hash: PageHash) -> Bool {
        lock.withLock { _ in
            guard pages.count < capacity else { return false }
            memory(take(page, hash: hash)).copyMemory(from: content)
            return true
        }
    }

    /// Lets `body` change a page in place, which it finds as the file has it, or zero when it is
    /// new, and which it gives a hash.
    func change(
        _ page: PageNumber,
        isNew: Bool,
        _ body: (UnsafeMutableRawBufferPointer, inout PageHash) -> PageHash
    ) throws -> PageHash {
        try lock.withLock { _ in
            let slot = try slot(of: page, isNew: isNew)
            if isNew {
                memory(slot).initializeMemory(as: UInt8.self, repeating: 0)
                hashes[slot] = .zero
            }
            return body(memory(slot), &hashes[slot])
        }
    }

    /// Reads a page as it is now.
    func read(_ page: PageNumber, into buffer: UnsafeMutableRawBufferPointer) throws {
        try lock.withLock { _ in
            if let slot = slots[page.rawValue] {
                buffer.copyMemory(from: UnsafeRawBufferPointer(memory(slot)))
            } else {
                try file.read(page, into: buffer)
            }
        }
    }

    /// Writes every page up to `pageCount` and forgets all of them.
    func flush(pageCount: UInt32) throws {
        try lock.withLock { _ in try writeAll(pageCount: pageCount) }
    }

    /// The slot of a page, which comes from the file if it is not there yet.
    private func slot(of page: PageNumber, isNew: Bool) throws -> Int {
        if let known = slots[page.rawValue] { return known }
        if pages.count >= capacity { try writeAll(pageCount: .max) }
        let slot = take(page.rawValue, hash: .zero)
        guard !isNew else { return slot }
        try file.read(page, into: memory(slot))
        hashes[slot] = PageHasher.hash(UnsafeRawBufferPointer(memory(slot)), number: page)
        return slot
    }

    /// The next free slot; its memory holds anything.
    private func take(_ page: UInt32, hash: PageHash) -> Int {
        let slot = pages.count
        if slot / Self.slabSlots == slabs.count {
            slabs.append(.allocate(byteCount: Self.slabSlots * pageBytes, alignment: 64))
        }
        slots[page] = slot
        pages.append(page)
        hashes.append(hash)
        return slot
    }

    private func memory(_ slot: Int) -> UnsafeMutableRawBufferPointer {
        let start = slot % Self.slabSlots * pageBytes
        let slab = slabs[slot / Self.slabSlots]
        return UnsafeMutableRawBufferPointer(rebasing: slab[start..<start + pageBytes])
    }

    private func writeAll(pageCount: UInt32) throws {
        for slot in pages.indices.sorted(by: { pages[$0] < pages[$1] })
        where pages[slot] <= pageCount {
            try file.write(PageNumber(pages[slot]), UnsafeRawBufferPointer(memory(slot)))
        }
        slots.removeAll(keepingCapacity: true)
        pages.removeAll(keepingCapacity: true)
        hashes.removeAll(keepingCapacity: true)
    }
}
