import Platform
import SegmentFormat
import Testing

@testable import Replication

@Suite struct MemoryBudgetTests {
    private func item(_ id: Int, bytes: Int) -> UploadQueue.Item {
        let content = [UInt8](repeating: 7, count: bytes)
        return UploadQueue.Item(id: id, path: "\(id)", body: .bytes(.memory(content)))
    }

    @Test func `over the budget each queue has one object, and no more`() {
        let memory = MemoryBudget(limit: 1000)
        let signal = FollowerSignal(id: 1) {}
        let first = UploadQueue(signal: signal, memory: memory)
        let second = UploadQueue(signal: signal, memory: memory)
        first.push(item(0, bytes: 600))
        #expect(!first.isFull(10_000) && !second.isFull(10_000))
        #expect(first.isFull(600), "a queue's own limit")
        second.push(item(0, bytes: 600))
        #expect(first.isFull(10_000) && second.isFull(10_000))
        let third = UploadQueue(signal: signal, memory: memory)
        #expect(!third.isFull(10_000), "who has nothing may add something")
        first.arrived(first.first!)
        #expect(memory.bytes == 600 && !second.isFull(10_000))
    }

    @Test func `a queue that goes gives back what it had`() {
        let memory = MemoryBudget(limit: 1000)
        do {
            let queue = UploadQueue(signal: FollowerSignal(id: 1) {}, memory: memory)
            queue.push(item(0, bytes: 300))
            queue.push(item(1, bytes: 400))
            #expect(memory.bytes == 700)
        }
        #expect(memory.bytes == 0)
    }
}
