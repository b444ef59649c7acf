import CLinux
import Glibc

/// A file mapped into memory, shared with every other process that maps it: `MAP_SHARED`.
package struct SharedMapping: ~Copyable {
    private let address: UnsafeMutableRawPointer
    private let length: Int

    /// Maps the first `length` bytes of a file that is open for reading and writing. The C
    /// function is `mmap`.
    package init(_ file: borrowing FileDescriptor, length: Int) throws(SystemError) {
        guard let address = hw_map_shared(file.rawValue, Int64(length)) else {
            throw SystemError.last("mmap")
        }
        self.address = address
        self.length = length
    }

    deinit { munmap(address, length) }

    /// The word at a byte offset; one load from memory.
    package func load(at offset: Int) -> UInt32 {
        precondition(offset >= 0 && offset + 4 <= length && offset % 4 == 0, "inside the mapping")
        return hw_load_word(address + offset)
    }

    /// Stores a word at a byte offset; one store to memory, and no `msync`.
    package func store(_ value: UInt32, at offset: Int) {
        precondition(offset >= 0 && offset + 4 <= length && offset % 4 == 0, "inside the mapping")
        hw_store_word(address + offset, value)
    }
}
