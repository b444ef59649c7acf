import Bytes
import ObjectStorage
import Platform
import TestSupport

/// Whether a process still lives. What a dead one asks for has no effect.
final class Life: @unchecked Sendable {
    // Sendable: belongs to the thread of its world.
    var isAlive = true
}

/// What goes wrong with requests, as shares of all of them.
struct StoreFaults {
    var lostBefore = 0.0
    var lostAfter = 0.0
    var late = 0.0
    var twice = 0.0
    var corrupt = 0.0
    var slow = 0.0
    /// Until then nothing answers, in the world's time.
    var downUntil: Int64 = 0
}

/// The objects, and how the way to them behaves. One for all agents of a world.
final class Bucket: @unchecked Sendable {
    // Sendable: belongs to the thread of its world.
    let memory = MemoryStore()
    var faults = StoreFaults()
    var requests = 0
    var failures = 0
    /// An object may have appeared after everybody took its upload for failed.
    var hasLateObjects = false
}

/// The bucket as one process reaches it: each request takes time, in which the process may die.
struct SimulatedStore: ObjectStore {
    let world: World
    let bucket: Bucket
    let life: Life

    private enum Fault { case none, lostBefore, lostAfter, late, twice }

    var clockOffset: Int64? { -world.clockError }

    func put(
        _ key: ObjectKey,
        body: any ObjectBody,
        ifAbsent: Bool
    ) async throws(StoreError) {
        let content = try await MemoryStore.content(of: body, for: key)
        try await request(.put, key.path, changes: true) { store throws(StoreError) in
            try await store.put(key, body: BytesBody(content), ifAbsent: ifAbsent)
        }
    }

    func get(_ key: ObjectKey, range: Range<UInt64>?) async throws(StoreError) -> [UInt8] {
        var bytes = try await request(.get, key.path, changes: false) { store throws(StoreError) in
            try await store.get(key, range: range)
        }
        if !bytes.isEmpty, world.dice.chance(bucket.faults.corrupt) {
            let place = Int(world.dice.next() % UInt64(bytes.count))
            // What it means does not depend on the byte, so that a seed stays one history.
            bytes[place] = bytes[place] == 0xff ? 0 : 0xff
            world.note("  get \(key.path): a byte is wrong")
        }
        return bytes
    }

    func head(_ key: ObjectKey) async throws(StoreError) -> ObjectInfo? {
        try await request(.head, key.path, changes: false) { store throws(StoreError) in
            try await store.head(key)
        }
    }

    func list(
        prefix: String,
        after: String?,
        limit: Int?
    ) async throws(StoreError) -> [ObjectInfo] {
        try await request(.list, prefix, changes: false) { store throws(StoreError) in
            try await store.list(prefix: prefix, after: after, limit: limit)
        }
    }

    func delete(_ keys: [ObjectKey]) async throws(StoreError) {
        let name = "\(keys.count) objects from \(keys.first?.path ?? "")"
        try await request(.delete, name, changes: true) { store throws(StoreError) in
            try await store.delete(keys)
        }
    }

    private func request<T: Sendable>(
        _ operation: StoreError.Operation,
        _ name: String,
        changes: Bool,
        _ apply: @escaping @Sendable (MemoryStore) async throws(StoreError) -> T
    ) async throws(StoreError) -> T {
        let gone = StoreError(.unreachable, operation, object: name, "the simulation says so")
        guard life.isAlive else { throw gone }
        bucket.requests += 1
        let isSlow = world.dice.chance(bucket.faults.slow)
        let milliseconds = isSlow ? world.dice.number(500...30_000) : world.dice.number(1...60)
        let time = milliseconds * Nanoseconds.millisecond
        let share = world.dice.number(0...time)
        let fault = draw(changes: changes)
        _ = await world.wait(share)
        bucket.memory.now = world.trueTime
        guard life.isAlive else {
            // The process died with a request on its way: it arrives, or does not.
            if changes, world.dice.chance(0.5) {
                world.note("  \(operation) \(name): arrives after its sender's death")
                bucket.hasLateObjects = true
                _ = try await apply(bucket.memory)
            }
            throw gone
        }
        if fault != .none {
            bucket.failures += 1
            world.note("  \(operation) \(name): \(fault)")
        }
        switch fault {
        case .lostBefore: throw gone
        case .late:
            bucket.hasLateObjects = true
            again(apply)
            throw gone
        case .lostAfter:
            _ = try await apply(bucket.memory)
            throw gone
        case .twice: again(apply)
        case .none: break
        }
        let result = try await apply(bucket.memory)
        if changes { world.note("  \(operation) \(name)") }
        _ = await world.wait(time - share)
        guard life.isAlive else { throw gone }
        return result
    }

    private func draw(changes: Bool) -> Fault {
        let faults = bucket.faults
        if world.now < faults.downUntil { return .lostBefore }
        if world.dice.chance(faults.lostBefore) { return .lostBefore }
        guard changes else { return .none }
        if world.dice.chance(faults.lostAfter) { return .lostAfter }
        if world.dice.chance(faults.late) { return .late }
        return world.dice.chance(faults.twice) ? .twice : .none
    }

    /// The request takes effect at some later time, whoever sent it.
    private func again<T: Sendable>(
        _ apply: @escaping @Sendable (MemoryStore) async throws(StoreError) -> T
    ) {
        let (world, memory) = (world, bucket.memory)
        world.schedule(after: world.dice.number(1...40_000) * Nanoseconds.millisecond) {
            Task(executorPreference: world.executor) {
                memory.now = world.trueTime
                _ = try? await apply(memory)
            }
        }
    }
}
