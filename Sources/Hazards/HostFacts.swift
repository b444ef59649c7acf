import Glibc
import Platform

/// What can be said of the machine. Hints refine texts; they never make a verdict.
package struct HostFacts: Sendable {
    /// Words such as "Docker" or "Kubernetes".
    package var hints: [String] = []
    /// One per boot of a kernel; two of them on one folder are two kernels.
    package var bootID = ""
    /// The host's name.
    package var hostName = ""
    /// `st_ino` of this process's pid and mount namespaces; 0 when unknown.
    package var pidNamespace: UInt64 = 0
    package var mountNamespace: UInt64 = 0
    /// inotify's limits for this user.
    package var watchesMax: UInt64?
    package var watchInstancesMax: UInt64?

    /// True when this process is in the machine's first pid namespace (linux/proc_ns.h
    /// `PROC_PID_INIT_INO`), so that no process is hidden in another container.
    package var seesAllProcesses: Bool { pidNamespace == 0xEFFF_FFFC }

    /// Looks around.
    package static func look() -> HostFacts {
        var facts = HostFacts()
        facts.bootID = line("/proc/sys/kernel/random/boot_id")
        facts.hostName = line("/proc/sys/kernel/hostname")
        facts.pidNamespace = namespace("/proc/self/ns/pid")
        facts.mountNamespace = namespace("/proc/self/ns/mnt")
        facts.watchesMax = UInt64(line("/proc/sys/fs/inotify/max_user_watches"))
        facts.watchInstancesMax = UInt64(line("/proc/sys/fs/inotify/max_user_instances"))
        facts.hints = hints(
            version: line("/proc/version"),
            cgroup: (try? FileSystem.text(of: "/proc/1/cgroup", limit: 64 * 1024)) ?? "",
            hypervisor: (try? FileSystem.text(of: "/proc/cpuinfo", limit: 8 * 1024)) ?? "",
            exists: { (try? FileSystem.statusOfName($0)) ?? nil != nil },
            isKubernetes: getenv("KUBERNETES_SERVICE_HOST") != nil
        )
        return facts
    }

    /// True in a gVisor sandbox.
    package static var isGVisor: Bool { line("/proc/version").contains("gvisor") }

    /// What the texts of the kernel hint at.
    static func hints(
        version: String,
        cgroup: String,
        hypervisor: String,
        exists: (String) -> Bool,
        isKubernetes: Bool
    ) -> [String] {
        let version = version.lowercased()
        var hints: [String] = []
        if version.contains("gvisor") { hints.append("gVisor sandbox") }
        if version.contains("microsoft") { hints.append("Windows Subsystem for Linux") }
        if version.contains("linuxkit") { hints.append("Docker Desktop's virtual machine") }
        if version.contains("orbstack") { hints.append("OrbStack's virtual machine") }
        if isKubernetes || cgroup.contains("kubepods") { hints.append("Kubernetes") }
        if exists("/run/.containerenv") { hints.append("Podman container") }
        if exists("/.dockerenv") || cgroup.contains("/docker") { hints.append("Docker container") }
        if cgroup.contains("/lxc") { hints.append("LXC container") }
        if hypervisor.contains(" hypervisor") { hints.append("virtual machine") }
        return hints
    }

    private static func line(_ path: String) -> String {
        let text = (try? FileSystem.text(of: path, limit: 4096)) ?? ""
        return String(text.split(separator: "\n").first ?? "")
    }

    private static func namespace(_ path: String) -> UInt64 {
        ((try? FileSystem.status(path)) ?? nil)?.inode ?? 0
    }
}
