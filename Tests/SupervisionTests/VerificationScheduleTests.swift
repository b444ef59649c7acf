import Bytes
import Platform
import Synchronization
import TestSupport
import Testing

@testable import Replication
@testable import Supervision

@Suite struct VerificationScheduleTests {
    /// Surroundings in which no time passes: what is waited for is noted.
    private final class Notes: Surroundings {
        private let state: Mutex<(random: SeededGenerator, pauses: [Int64])>

        init(seed: UInt64) { state = Mutex((SeededGenerator(seed: seed), [])) }

        var pauses: [Int64] { state.withLock { $0.pauses } }
        var monotonicTime: MonotonicTime { MonotonicTime(nanoseconds: 0) }
        var wallTime: Timestamp { Timestamp(milliseconds: 0) }
        func random() -> UInt64 { state.withLock { $0.random.next() } }
        func pause(nanoseconds: Int64) {}
        func sleep(nanoseconds: Int64) async throws {
            state.withLock { $0.pauses.append(nanoseconds) }
        }
    }

    /// Attempts that run, and have run.
    private final class Attempts: Sendable {
        private let state = Mutex((running: 0, most: 0, ended: 0, numbers: [Int]()))

        var most: Int { state.withLock { $0.most } }
        var numbers: [Int] { state.withLock { $0.numbers.sorted() } }
        func begin(_ number: Int) {
            state.withLock {
                $0.running += 1
                $0.most = max($0.most, $0.running)
                $0.numbers.append(number)
            }
        }
        func end() -> Int {
            state.withLock {
                $0.running -= 1
                $0.ended += 1
                return $0.ended
            }
        }
    }

    /// What a schedule waits for before each of some attempts.
    private func pauses(
        seed: UInt64,
        interval: Int64,
        _ attempts: [VerificationSchedule.Attempt]
    ) async -> [Int64] {
        let notes = Notes(seed: seed)
        let stop = StopRequest()
        let schedule = VerificationSchedule(interval: interval, gate: TaskGate(width: 1))
        await Simulation.$surroundings.withValue(notes) {
            let rest = Mutex(attempts[...])
            await schedule.run(until: stop) {
                rest.withLock { rest in
                    defer { if rest.isEmpty { stop.request() } }
                    return rest.removeFirst()
                }
            }
        }
        return notes.pauses
    }

    @Test func `after an interval, and soon when it could not be done`() async {
        let hour = 3600 * Nanoseconds.second
        let long = await pauses(seed: 1, interval: hour, [.done, .later, .later, .done])
        let retry = SupervisionLimits.verificationRetryPause
        #expect(long.dropFirst() == [hour, retry, retry])
        let second = Nanoseconds.second
        let short = await pauses(seed: 1, interval: second, [.done, .later, .done])
        #expect(short.dropFirst() == [second, second])
    }

    @Test func `schedules that begin together spread over the first interval`() async {
        let interval = 1000 * Nanoseconds.second
        var counts = [0, 0, 0, 0]
        for seed in 0..<200 {
            let first = await pauses(seed: UInt64(seed), interval: interval, [.done])[0]
            #expect((0..<interval).contains(first))
            counts[Int(first * 4 / interval)] += 1
        }
        #expect(counts.allSatisfy { $0 > 25 }, "\(counts)")
    }

    @Test(.timeLimit(.minutes(10))) func `one at a time in the whole process`() async {
        let gate = TaskGate(width: 1)
        let stop = StopRequest()
        let tally = Attempts()
        await withDiscardingTaskGroup { group in
            for _ in 0..<20 {
                group.addTask {
                    let schedule = VerificationSchedule(interval: 1, gate: gate)
                    await schedule.run(until: stop) {
                        tally.begin(0)
                        for _ in 0..<10 { await Task.yield() }
                        if tally.end() == 200 { stop.request() }
                        return .done
                    }
                }
            }
        }
        #expect(tally.most == 1)
    }

    @Test(.timeLimit(.minutes(10)))
    func `who waits for the others ends at once when it is told to`() async {
        let gate = TaskGate(width: 1)
        await gate.acquire()
        let stops = (0..<3).map { _ in StopRequest() }
        let tally = Attempts()
        await withTaskGroup(of: Int.self) { group in
            for (number, stop) in stops.enumerated() {
                group.addTask {
                    let schedule = VerificationSchedule(interval: 1, gate: gate)
                    await schedule.run(until: stop) {
                        tally.begin(number)
                        stop.request()
                        return .done
                    }
                    return number
                }
            }
            while gate.waitingCount < 3, !Task.isCancelled { await Task.yield() }
            stops[1].request()
            #expect(await group.next() == 1)
            #expect(gate.waitingCount == 2)
            gate.release()
            for await _ in group {}
        }
        #expect(tally.numbers == [0, 2])
        // The place of the one that went away is nobody's.
        #expect(await gate.acquire(until: StopRequest()))
        gate.release()
    }

    @Test(.timeLimit(.minutes(10))) func `a cancelled task takes no place`() async {
        let gate = TaskGate(width: 1)
        await gate.acquire()
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { await gate.acquire(until: StopRequest()) }
            while gate.waitingCount < 1, !Task.isCancelled { await Task.yield() }
            group.cancelAll()
            #expect(await group.next() == false)
        }
        gate.release()
        let stopped = StopRequest()
        stopped.request()
        #expect(await gate.acquire(until: stopped) == false)
        #expect(await gate.acquire(until: StopRequest()))
    }
}
