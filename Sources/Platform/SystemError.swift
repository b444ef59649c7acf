import Glibc

/// A failed system call: what was attempted, on which path, and the kernel's answer.
package struct SystemError: Error, Hashable, CustomStringConvertible {
    /// The `errno` value.
    package let number: Int32
    /// The C name of the call.
    package let call: String
    /// The file concerned, if there is one.
    package let path: String?

    /// A failure of `call` on `path`.
    package init(_ number: Int32, call: String, path: String? = nil) {
        self.number = number
        self.call = call
        self.path = path
    }

    /// The current `errno`, which the caller's last failed call has set.
    package static func last(_ call: String, path: String? = nil) -> SystemError {
        SystemError(errno, call: call, path: path)
    }

    /// True when the same call may succeed later without anybody's help.
    package var isRetryable: Bool { [EINTR, EAGAIN, EBUSY, ENOSPC, EDQUOT, EIO].contains(number) }

    package var description: String {
        let reason = String(cString: strerror(number))
        guard let path else { return "\(call): \(reason)" }
        return "\(call) '\(path)': \(reason)"
    }
}

/// Repeats `call` while it is interrupted by a signal and turns -1 into a `SystemError`.
@discardableResult
package func retryingInterrupts<T: SignedInteger>(
    _ name: String,
    path: String? = nil,
    _ call: () -> T
) throws(SystemError) -> T {
    while true {
        let result = call()
        if result != -1 { return result }
        if errno != EINTR { throw SystemError.last(name, path: path) }
    }
}
