import CLinux
import Glibc

/// How the process's allocator gives memory back.
package enum Memory {
    /// Keeps freed memory for the next allocation instead of giving it back to the kernel at once.
    ///
    /// For commands that allocate and free buffers of up to a few megabytes all the time: mapping
    /// them anew each time cost a sixth of a restore. The C function is `mallopt`.
    package static func keepFreed() { hw_keep_freed_memory(32 << 20, 64 << 20) }

    /// Gives what is free in the process's heaps back to the kernel. The C function is
    /// `malloc_trim`.
    package static func giveBackFreed() { hw_give_back_freed_memory() }

    /// Bytes of memory that this process may have: the machine's, or its container's limit where
    /// that is less (cgroups(7), `memory.max`, version 1 `memory.limit_in_bytes`).
    package static var limit: UInt64 {
        let pages = UInt64(max(0, sysconf(Int32(_SC_PHYS_PAGES))))
        let machine = pages * UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))
        let groups = (try? FileSystem.text(of: "/proc/self/cgroup", limit: 1 << 16)) ?? ""
        return limit(machine: machine, groups: groups) {
            try? FileSystem.text(of: $0, limit: 64)
        }
    }

    /// The least of the machine's memory and what the files say that `groups` leads to.
    static func limit(
        machine: UInt64,
        groups: String,
        read: (_ path: String) -> String?
    ) -> UInt64 {
        let root = "/sys/fs/cgroup"
        var paths = ["\(root)/memory.max", "\(root)/memory/memory.limit_in_bytes"]
        for line in groups.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, parts[2] != "/" else { continue }
            if parts[1].isEmpty { paths.append("\(root)\(parts[2])/memory.max") }
            if parts[1].split(separator: ",").contains("memory") {
                paths.append("\(root)/memory\(parts[2])/memory.limit_in_bytes")
            }
        }
        let limits = paths.compactMap { read($0) }
            .compactMap { UInt64($0.prefix { $0 != "\n" }) }
        return ([machine] + limits).min() ?? machine
    }
}

/// What this process uses.
package struct ResourceUsage: Sendable {
    /// Bytes of memory in use.
    package let residentBytes: Int64
    /// Open descriptors.
    package let descriptors: Int
    /// Processor time, in seconds.
    package let cpuSeconds: Double

    /// Now; 0 for what `/proc` does not tell. The C function is `getrusage`.
    package static var current: ResourceUsage {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double {
            Double(time.tv_sec) + Double(time.tv_usec) / 1e6
        }
        let statm = (try? FileSystem.text(of: "/proc/self/statm", limit: 256)) ?? ""
        let pages = statm.split(separator: " ").dropFirst().first.flatMap { Int64($0) } ?? 0
        return ResourceUsage(
            residentBytes: pages * Int64(sysconf(Int32(_SC_PAGESIZE))),
            descriptors: (try? FileSystem.names(in: "/proc/self/fd").count) ?? 0,
            cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime)
        )
    }

    /// Lets this process open as many files as its hard limit permits; the limit from now on. The C
    /// function is `setrlimit`.
    @discardableResult
    package static func raiseDescriptorLimit() -> UInt64 { hw_raise_descriptor_limit() }
}
