import Platform

/// Work on many items at a time, its results taken in the items' order.
enum OrderedTasks {
    /// Runs `produce` for up to `width` items at a time on `executor`, and hands each result to
    /// `consume` in order. At most `width` results exist at a time.
    static func run<Item: Sendable, Output: Sendable>(
        _ items: [Item],
        width: Int,
        on executor: ThreadExecutor,
        produce: @Sendable @escaping (Item) async throws -> Output,
        consume: (Output) async throws -> Bool
    ) async throws {
        try await withThrowingTaskGroup(of: (Int, Output).self) { group in
            var next = 0
            var wanted = 0
            var ready: [Int: Output] = [:]
            while next < min(width, items.count) {
                let (index, item) = (next, items[next])
                group.addTask(executorPreference: executor) { (index, try await produce(item)) }
                next += 1
            }
            while let (index, output) = try await group.next() {
                ready[index] = output
                while let output = ready.removeValue(forKey: wanted) {
                    guard try await consume(output) else {
                        group.cancelAll()
                        return
                    }
                    wanted += 1
                    guard next < items.count else { continue }
                    let (index, item) = (next, items[next])
                    group.addTask(executorPreference: executor) {
                        (index, try await produce(item))
                    }
                    next += 1
                }
            }
        }
    }

    /// Runs `body` for up to `width` items at a time on `executor`, in no particular order.
    static func each<Item: Sendable>(
        _ items: [Item],
        width: Int,
        on executor: ThreadExecutor,
        _ body: @Sendable @escaping (Item) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, item) in items.enumerated() {
                if index >= width { try await group.next() }
                group.addTask(executorPreference: executor) { try await body(item) }
            }
            for try await _ in group {}
        }
    }
}
