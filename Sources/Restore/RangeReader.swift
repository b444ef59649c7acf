package import BackupCatalog
package import ObjectStorage
import Platform
import SegmentFormat

/// Reads ranges of objects, and goes on where a download broke off.
package struct RangeReader: Sendable {
    /// The store.
    package let store: any ObjectStore
    private let progress: RestoreProgress

    /// A reader that reports what it has fetched to `progress`.
    package init(_ store: any ObjectStore, progress: RestoreProgress) {
        self.store = store
        self.progress = progress
    }

    /// Exactly the bytes in `range`.
    ///
    /// - Throws: `RestoreError.vanished` when the object is gone, `integrity` when it has become
    ///   shorter; `StoreError` when the store stays unreachable; `CancellationError`.
    package func bytes(of segment: StoredSegment, in range: Range<UInt64>) async throws -> [UInt8] {
        guard range.upperBound <= segment.size else {
            throw damaged(segment, "byte \(range.upperBound) lies beyond its end")
        }
        var bytes: [UInt8] = []
        var attempt = 0
        var pause = Limits.firstPauseNanoseconds
        while true {
            try Task.checkCancellation()
            do {
                let rest = range.lowerBound + UInt64(bytes.count)..<range.upperBound
                let part = try await store.get(segment.key, range: rest)
                progress.fetched(UInt64(part.count))
                if bytes.isEmpty { bytes = part } else { bytes += part }
                guard bytes.count <= range.count else {
                    throw damaged(segment, "the store sent more than was asked for")
                }
                if bytes.count == range.count { return bytes }
                guard !part.isEmpty else { throw damaged(segment, "it ends early") }
            } catch let error as StoreError {
                if error.code == .notFound {
                    throw RestoreError(
                        .vanished,
                        "'\(segment.key)' was listed, but the store does not have it any more",
                        object: segment.key
                    )
                }
                attempt += 1
                guard error.isRetryable, attempt < Limits.downloadAttempts else { throw error }
                try await Pause.sleep(nanoseconds: pause)
                pause *= 2
            }
        }
    }

    private func damaged(_ segment: StoredSegment, _ what: String) -> RestoreError {
        RestoreError(.integrity, "'\(segment.key)' is damaged: \(what)", object: segment.key)
    }
}
