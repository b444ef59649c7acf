import CLinux
import Glibc

/// Children that other processes left: process 1 of a container gets them when their parents end.
package enum Orphans {
    /// Whether it is this process that gets them.
    package static var areOurs: Bool { getpid() == 1 }

    /// Waits for those that have ended, so that they do not stay as zombies. The C functions are
    /// `waitid` and `waitpid`.
    package static func reap() {
        while true {
            let ended = hw_peek_ended_child(0)
            // One that a `ChildProcess.run` waits for is in the way for a moment; the next SIGCHLD
            // finds what is behind it.
            guard ended > 0, !ChildProcess.isOurs(ended) else { return }
            var status: Int32 = 0
            waitpid(ended, &status, WNOHANG)
        }
    }
}
