import Glibc

/// A thread of ours that runs one function.
package enum DedicatedThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @Sendable @escaping () -> Void) { self.run = run }
    }

    /// Runs `body` on a new thread. The C function is `pthread_create`.
    package static func start(_ body: @Sendable @escaping () -> Void) throws(SystemError) {
        let context = Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread,
            nil,
            { context in
                Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            },
            context.toOpaque()
        )
        guard result == 0 else {
            context.release()
            throw SystemError(result, call: "pthread_create")
        }
        pthread_detach(thread)
    }
}
