import Glibc

/// A POSIX semaphore at a fixed address.
package final class Semaphore: @unchecked Sendable {
    // Sendable: `sem_t` is made for concurrent use, and the pointer never changes.
    private let raw: UnsafeMutablePointer<sem_t>

    /// A semaphore at zero.
    package init() {
        raw = .allocate(capacity: 1)
        sem_init(raw, 0, 0)
    }

    deinit {
        sem_destroy(raw)
        raw.deallocate()
    }

    /// Adds one. The C function is `sem_post`.
    package func signal() { sem_post(raw) }

    /// Waits until it is above zero and takes one. The C function is `sem_wait`.
    package func wait() {
        while sem_wait(raw) != 0 {}
    }
}

/// Threads that do one thing as long as the process lives.
package enum WorkerThread {
    /// Starts a thread. The C function is `pthread_create`.
    package static func start(_ body: @Sendable @escaping () -> Never) {
        let context = Unmanaged.passRetained(Body(body)).toOpaque()
        var thread = pthread_t()
        let result = pthread_create(
            &thread,
            nil,
            { context in Unmanaged<Body>.fromOpaque(context!).takeUnretainedValue().run() },
            context
        )
        precondition(result == 0, "pthread_create failed: \(result)")
        pthread_detach(thread)
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Never
        init(_ run: @Sendable @escaping () -> Never) { self.run = run }
    }
}
