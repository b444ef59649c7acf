import Bytes
import Platform
import Synchronization
import TestSupport

extension SeededGenerator {
    mutating func number(_ range: ClosedRange<Int64>) -> Int64 { .random(in: range, using: &self) }

    mutating func chance(_ share: Double) -> Bool {
        Double(next() >> 11) / Double(1 << 53) < share
    }

    mutating func pick<T>(_ values: [T]) -> T { values[Int(next() % UInt64(values.count))] }
}

/// Runs the jobs of the simulated agents in the order in which they come, when it is told to.
final class SteppedExecutor: TaskExecutor {
    private let jobs = Mutex<[UnownedJob]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        jobs.withLock { $0.append(unowned) }
    }

    /// Runs jobs until none is left.
    func drain() {
        while let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}

/// Time, chance and events of one history. One thread runs all of it.
// Sendable: see above. The engine's jobs run inside `drain`, on the same thread.
final class World: Surroundings, @unchecked Sendable {
    private struct Event {
        let time: Int64
        let order: Int
        let run: () -> Void
    }

    let executor = SteppedExecutor()
    var dice: SeededGenerator
    /// What happened, one line each.
    private(set) var history: [String] = []
    private(set) var violations: [String] = []
    /// Virtual nanoseconds.
    private(set) var now: Int64 = 1_000_000_000_000
    /// The agents' wall clock against the world's, in milliseconds.
    var clockError: Int64 = 0
    /// Levels that the agents have stored.
    var levelCount = 0
    private var events: [Event] = []
    private var nextOrder = 0
    /// What others do while the engine is inside of a step.
    var interruption: (() -> Void)?
    var interruptionShare = 0.0
    private var isInterrupting = false

    init(seed: UInt64) { dice = SeededGenerator(seed: seed) }

    // MARK: - Surroundings

    var monotonicTime: MonotonicTime {
        advance(1000)
        interrupt(interruptionShare)
        return MonotonicTime(nanoseconds: now)
    }

    /// The time of the world itself, by which the store dates its objects.
    var trueTime: Timestamp {
        Timestamp(milliseconds: 1_790_000_000_000 + now / Nanoseconds.millisecond)
    }

    var wallTime: Timestamp { Timestamp(milliseconds: trueTime.milliseconds + clockError) }

    func random() -> UInt64 { dice.next() }

    func pause(nanoseconds: Int64) {
        advance(nanoseconds)
        interrupt(0.5)
    }

    func sleep(nanoseconds: Int64) async throws {
        guard await wait(nanoseconds) else { throw CancellationError() }
    }

    private func advance(_ nanoseconds: Int64) { now += max(0, nanoseconds) }

    private func interrupt(_ share: Double) {
        guard !isInterrupting, let interruption, dice.chance(share) else { return }
        isInterrupting = true
        defer { isInterrupting = false }
        interruption()
    }

    // MARK: - Events

    /// Lets something happen later.
    func schedule(after nanoseconds: Int64, _ body: @escaping () -> Void) {
        events.append(
            Event(time: now + max(0, nanoseconds), order: nextOrder, run: body)
        )
        nextOrder += 1
    }

    /// Suspends the calling task; false when it was cancelled meanwhile.
    func wait(_ nanoseconds: Int64) async -> Bool {
        let sleeper = Sleeper()
        schedule(after: nanoseconds) { sleeper.resume(true) }
        return await withTaskCancellationHandler {
            await sleeper.wait()
        } onCancel: {
            sleeper.resume(false)
        }
    }

    /// Lets the next event happen, and all that follows from it at once. False when there is none.
    func step() -> Bool {
        executor.drain()
        guard
            let index = events.indices.min(by: {
                (events[$0].time, events[$0].order) < (events[$1].time, events[$1].order)
            })
        else { return false }
        let event = events.remove(at: index)
        now = max(now, event.time)
        event.run()
        executor.drain()
        return true
    }

    // MARK: - What is recorded

    func note(_ text: @autoclosure () -> String) {
        let milliseconds = (now - 1_000_000_000_000) / 1000
        history.append("\(milliseconds) us: \(text())")
    }

    func violation(_ text: String) {
        note("VIOLATION: \(text)")
        violations.append(text)
    }
}

/// One suspended task, resumed once by whoever comes first.
final class Sleeper: Sendable {
    private struct State {
        var result: Bool?
        var continuation: CheckedContinuation<Bool, Never>?
    }

    private let state = Mutex(State())

    func resume(_ result: Bool) {
        let continuation = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard state.result == nil else { return nil }
            state.result = result
            return state.continuation.take()
        }
        continuation?.resume(returning: result)
    }

    func wait() async -> Bool {
        await withCheckedContinuation { continuation in
            let result = state.withLock { state -> Bool? in
                if state.result == nil { state.continuation = continuation }
                return state.result
            }
            if let result { continuation.resume(returning: result) }
        }
    }
}
