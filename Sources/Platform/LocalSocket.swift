import CLinux
import Glibc

/// Stream sockets: listening ones, and what connects to them.
package enum LocalSocket {
    /// Listens at a path that may be used by whom `permissions` allow to write, from its first
    /// moment on. A socket that a dead process left is replaced.
    ///
    /// - Throws: `EADDRINUSE` while another process listens there, `EACCES` when we may not ask.
    package static func listen(
        atPath path: String,
        permissions: UInt32
    ) throws(SystemError) -> FileDescriptor {
        FileDescriptor(
            owning: try retryingInterrupts("bind", path: path) { hw_listen_unix(path, permissions) }
        )
    }

    /// Listens at a TCP address; an empty host means all of the machine's.
    package static func listen(
        host: String,
        port: String
    ) throws(SystemError) -> FileDescriptor {
        FileDescriptor(
            owning: try retryingInterrupts("bind", path: "\(host):\(port)") {
                hw_listen_tcp(host, port)
            }
        )
    }

    /// The next connection; its reads and writes fail with `EAGAIN` after `milliseconds`. Blocks.
    package static func accept(
        _ listener: Int32,
        milliseconds: Int32
    ) throws(SystemError) -> FileDescriptor {
        FileDescriptor(
            owning: try retryingInterrupts("accept") { hw_accept(listener, milliseconds) }
        )
    }

    /// Connects to a path; reads and writes fail with `EAGAIN` after `milliseconds`.
    package static func connect(
        toPath path: String,
        milliseconds: Int32
    ) throws(SystemError) -> FileDescriptor {
        FileDescriptor(
            owning: try retryingInterrupts("connect", path: path) {
                hw_connect_unix(path, milliseconds)
            }
        )
    }

    /// Up to `count` bytes; none at the end. The C function is `recv`.
    package static func receive(_ socket: Int32, count: Int) throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = try retryingInterrupts("recv") { recv(socket, &bytes, count, 0) }
        return Array(bytes.prefix(got))
    }

    /// Sends all of `bytes`. The C function is `send`.
    package static func send(_ bytes: [UInt8], to socket: Int32) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            done += try retryingInterrupts("send") {
                bytes.withUnsafeBytes {
                    Glibc.send(
                        socket,
                        $0.baseAddress! + done,
                        bytes.count - done,
                        Int32(MSG_NOSIGNAL)
                    )
                }
            }
        }
    }
}
