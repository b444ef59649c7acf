import Synchronization

/// Pieces of a body on their way from the transfer's thread to the task that reads them.
final class BodyStream: Sendable {
    typealias Piece = (head: HTTPResponseHead, bytes: [UInt8])

    private struct State {
        var pieces: [[UInt8]] = []
        var head = HTTPResponseHead(status: 0)
        var byteCount = 0
        var isFinished = false
        var isPaused = false
        var waiter: CheckedContinuation<Void, Never>?
        var resume: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    /// Takes a piece; false when the transfer has to wait until `resume` is called.
    func push(
        _ bytes: [UInt8],
        head: HTTPResponseHead,
        resume: @Sendable @escaping () -> Void
    ) -> Bool {
        let (taken, waiter) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
            guard state.byteCount < Limits.streamBufferBytes || state.isFinished else {
                state.isPaused = true
                state.resume = resume
                return (false, nil)
            }
            state.head = head
            state.pieces.append(bytes)
            state.byteCount += bytes.count
            return (true, state.waiter.take())
        }
        waiter?.resume()
        return taken
    }

    /// No piece will come any more.
    func finish() {
        let waiter = state.withLock { state in
            state.isFinished = true
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// The next piece; nil at the end.
    func next() async -> Piece? {
        while true {
            enum Step { case piece(Piece, (@Sendable () -> Void)?), end, wait }
            let step = state.withLock { state -> Step in
                guard !state.pieces.isEmpty else { return state.isFinished ? .end : .wait }
                let piece = state.pieces.removeFirst()
                state.byteCount -= piece.count
                guard state.isPaused, state.byteCount < Limits.streamBufferBytes / 2 else {
                    return .piece((state.head, piece), nil)
                }
                state.isPaused = false
                return .piece((state.head, piece), state.resume.take())
            }
            switch step {
            case .piece(let piece, let resume):
                resume?()
                return piece
            case .end: return nil
            case .wait: await waitForChange()
            }
        }
    }

    private func waitForChange() async {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if !state.pieces.isEmpty || state.isFinished { return true }
                state.waiter = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
    }
}
