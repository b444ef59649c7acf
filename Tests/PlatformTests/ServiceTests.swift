import Glibc
import Platform
import TestSupport
import Testing

/// What an agent needs of the system as a service: the application beside it, and the manager.
@Suite struct ServiceTests {
    @Test(arguments: [
        ("true", 0), ("false", 1), ("sh -c 'exit 7'", 7), ("false; exit 3", 3),
        ("A=4 sh -c 'exit $A'", 4),
        ("sh -c 'kill -TERM $$'", 143),
    ])
    func `an application's exit code is passed on`(line: String, code: Int32) throws {
        #expect(try ExecutedCommand(line).wait() == code)
    }

    @Test(arguments: ["sleep 60", "sleep 60 | cat"])
    func `a signal reaches the application, through a shell, too`(line: String) throws {
        let command = try ExecutedCommand(line)
        command.signal(SIGTERM)
        let code = try command.wait()
        #expect(code == 128 + SIGTERM)
    }

    @Test func `a program that does not exist is the shell's 127`() throws {
        #expect(try ExecutedCommand("highwater-no-such-program 2>/dev/null").wait() == 127)
    }

    @Test func `the service manager hears of it`() throws {
        let folder = TemporaryFolder()
        let path = folder.file("notify")
        let listener = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        let notification = ServiceNotification(
            environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000"]
        )
        #expect(notification.watchdogInterval == 15 * Nanoseconds.second)
        notification.ready()
        notification.alive()
        notification.stopping()
        var received: [String] = []
        for _ in 0..<3 {
            var bytes = [UInt8](repeating: 0, count: 256)
            let count = recv(listener, &bytes, bytes.count, 0)
            received.append(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self))
        }
        #expect(received == ["READY=1", "WATCHDOG=1", "STOPPING=1"])
    }

    @Test func `without a service manager nothing is said`() {
        #expect(ServiceNotification(environment: [:]).watchdogInterval == nil)
        ServiceNotification(environment: ["NOTIFY_SOCKET": "/no/such/socket"]).ready()
    }
}
