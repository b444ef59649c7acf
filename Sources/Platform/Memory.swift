import CLinux

/// How the process's allocator gives memory back.
package enum Memory {
    /// Keeps freed memory for the next allocation instead of giving it back to the kernel at once.
    ///
    /// For commands that allocate and free buffers of up to a few megabytes all the time: mapping
    /// them anew each time cost a sixth of a restore. The C function is `mallopt`.
    package static func keepFreed() { hw_keep_freed_memory(32 << 20, 64 << 20) }
}
