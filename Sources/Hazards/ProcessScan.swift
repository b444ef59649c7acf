import Glibc
import Platform
import Synchronization

/// The files that other processes have open, as `/proc` tells. Links are read; no file is opened or
/// asked about.
package struct ProcessScan: Sendable {
    /// A descriptor of a process.
    struct Descriptor: Sendable {
        /// `/proc/PID/fd/N`.
        var link: String
        /// The path as the process sees it.
        var path: String
        /// The name is gone.
        var isDeleted: Bool
        /// The inode that `fdinfo` names (Linux 5.14), 0 before.
        var inode: UInt64
    }

    /// The descriptors of a process.
    struct Files: Sendable {
        var process: Int32
        var descriptors: [Descriptor]
        var folder: String { "/proc/\(process)" }
    }

    var processes: [Files] = []
    /// Processes whose descriptors may not be looked at.
    var hiddenProcesses = 0

    /// All processes but this one.
    package static func now() -> ProcessScan {
        var scan = ProcessScan()
        let own = getpid()
        for name in (try? FileSystem.names(in: "/proc")) ?? [] {
            guard let process = Int32(name), process != own else { continue }
            var files = Files(process: process, descriptors: [])
            guard let numbers = try? FileSystem.names(in: "\(files.folder)/fd") else {
                // It ended meanwhile, or belongs to somebody else.
                if access("\(files.folder)/stat", F_OK) == 0 { scan.hiddenProcesses += 1 }
                continue
            }
            for number in numbers.prefix(Limits.descriptorsPerProcess) {
                if let found = descriptor(files.folder, number) { files.descriptors.append(found) }
            }
            if !files.descriptors.isEmpty { scan.processes.append(files) }
        }
        return scan
    }

    private static func descriptor(_ folder: String, _ number: String) -> Descriptor? {
        let link = "\(folder)/fd/\(number)"
        guard var path = try? FileSystem.linkTarget(link), path.hasPrefix("/"),
            !path.hasPrefix("/dev/")
        else { return nil }
        let isDeleted = path.hasSuffix(" (deleted)")
        if isDeleted { path.removeLast(" (deleted)".count) }
        return Descriptor(
            link: link,
            path: path,
            isDeleted: isDeleted,
            inode: inode("\(folder)/fdinfo/\(number)")
        )
    }

    private static func inode(_ path: String) -> UInt64 {
        guard let text = try? FileSystem.text(of: path, limit: 4096) else { return 0 }
        for line in text.split(separator: "\n") where line.hasPrefix("ino:") {
            return UInt64(line.dropFirst(4).drop { $0 == " " || $0 == "\t" }) ?? 0
        }
        return 0
    }

    private static let cache = Mutex<(taken: MonotonicTime, scan: ProcessScan)?>(nil)

    /// A scan that is at most a second old: an agent of many databases starts them together.
    package static func recent() -> ProcessScan {
        cache.withLock { cache in
            if let cache, MonotonicTime.now - cache.taken < Nanoseconds.second { return cache.scan }
            let scan = now()
            cache = (MonotonicTime.now, scan)
            return scan
        }
    }
}
