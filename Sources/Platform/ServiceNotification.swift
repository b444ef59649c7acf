import CLinux

/// Tells the service manager how the process is doing (sd_notify(3)); without one, nothing.
package struct ServiceNotification: Sendable {
    private let socket: String?
    /// How often the manager wants to hear from us, in nanoseconds; nil when it does not.
    package let watchdogInterval: Int64?

    /// What the environment says: `NOTIFY_SOCKET` and `WATCHDOG_USEC`.
    package init(environment: [String: String]) {
        socket = environment["NOTIFY_SOCKET"].flatMap { $0.isEmpty ? nil : $0 }
        let limit = environment["WATCHDOG_USEC"].flatMap { Int64($0) }
        // Half of it, as sd_watchdog_enabled(3) advises.
        watchdogInterval = socket == nil ? nil : limit.map { $0 * 1000 / 2 }
    }

    /// The service is up.
    package func ready() { send("READY=1") }

    /// It re-reads its configuration, and is up again with the next `ready`.
    package func reloading() {
        send("RELOADING=1\nMONOTONIC_USEC=\(MonotonicTime.now.nanoseconds / 1000)")
    }

    /// It ends.
    package func stopping() { send("STOPPING=1") }

    /// It is alive.
    package func alive() { send("WATCHDOG=1") }

    private func send(_ text: String) {
        guard let socket else { return }
        let bytes = Array(text.utf8)
        // Nobody is told when nobody listens.
        _ = hw_send_datagram(socket, bytes, bytes.count)
    }
}
