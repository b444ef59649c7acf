package import ObjectStorage
import Synchronization

/// Objects of the last hour in memory, so that a pack is made without fetching what was just sent.
///
/// Bounded: the oldest go first.
package final class BodyCache: Sendable {
    private struct State {
        var bodies: [ObjectKey: [UInt8]] = [:]
        var order: [ObjectKey] = []
        var byteCount = 0
    }

    private let state = Mutex(State())
    private let limit: Int

    /// A cache of at most `bytes` bytes.
    package init(bytes: Int) { limit = bytes }

    /// Bytes held.
    package var byteCount: Int { state.withLock { $0.byteCount } }

    /// Remembers an object that the store has confirmed.
    package func put(_ key: ObjectKey, _ body: [UInt8]) {
        guard body.count <= limit else { return }
        state.withLock { state in
            Self.remove(key, &state)
            state.bodies[key] = body
            state.order.append(key)
            state.byteCount += body.count
            while state.byteCount > limit, let oldest = state.order.first {
                Self.remove(oldest, &state)
            }
        }
    }

    /// The object, which is forgotten.
    package func take(_ key: ObjectKey) -> [UInt8]? {
        state.withLock { state in
            let body = state.bodies[key]
            Self.remove(key, &state)
            return body
        }
    }

    private static func remove(_ key: ObjectKey, _ state: inout State) {
        guard let body = state.bodies.removeValue(forKey: key) else { return }
        state.byteCount -= body.count
        if let index = state.order.firstIndex(of: key) { state.order.remove(at: index) }
    }
}
