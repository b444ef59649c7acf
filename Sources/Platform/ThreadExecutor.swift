import Glibc
import Synchronization

/// Threads of ours for calls that block. Tasks that prefer this executor run there and never on
/// the cooperative pool, whose few threads nobody may block.
///
/// Make one per process and keep it: its threads end only with the process.
package final class ThreadExecutor: TaskExecutor {
    private struct Queue {
        var jobs: [UnownedJob] = []
        var head = 0
    }

    private let queue = Mutex(Queue())
    private let available: Semaphore
    private let niceness: Int32

    /// An executor with `threads` threads. With a `niceness`, as in nice(1), they leave the
    /// processors to others.
    package init(threads: Int, niceness: Int32 = 0) {
        precondition(threads > 0, "an executor needs a thread")
        available = Semaphore()
        self.niceness = niceness
        for _ in 0..<threads {
            let context = Unmanaged.passRetained(self).toOpaque()
            var thread = pthread_t()
            let result = pthread_create(
                &thread,
                nil,
                { context in
                    Unmanaged<ThreadExecutor>.fromOpaque(context!).takeUnretainedValue().work()
                },
                context
            )
            precondition(result == 0, "pthread_create failed: \(result)")
            pthread_detach(thread)
        }
    }

    /// Takes a job of the Swift runtime.
    package func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        queue.withLock { $0.jobs.append(unowned) }
        available.signal()
    }

    /// Runs `body` on one of the threads.
    package func run<T: Sendable>(_ body: @Sendable @escaping () throws -> T) async throws -> T {
        try await withTaskExecutorPreference(self) { try await Self.call(body) }
    }

    @concurrent
    private static func call<T: Sendable>(_ body: @Sendable () throws -> T) async throws -> T {
        try body()
    }

    private func work() -> Never {
        // Of Linux's threads each has its own; 0 is the calling one.
        if niceness != 0 { setpriority(Int32(PRIO_PROCESS.rawValue), 0, niceness) }
        while true {
            available.wait()
            let job = queue.withLock { queue -> UnownedJob in
                let job = queue.jobs[queue.head]
                queue.head += 1
                if queue.head == queue.jobs.count {
                    queue.jobs.removeAll(keepingCapacity: true)
                    queue.head = 0
                }
                return job
            }
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
