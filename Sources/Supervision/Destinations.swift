package import Configuration
package import ObjectStorage
package import Platform
import Replication
import Synchronization

/// Opens the store of a place. No request is made.
package typealias StoreOpener =
    @Sendable (StoreURL, ReplicaCredentials?, ThreadExecutor) throws -> any ObjectStore

/// The stores of a process. Databases that go to one bucket, or to one disk, share its limits, so
/// that a place that hangs holds up nobody who goes elsewhere.
final class Destinations: Sendable {
    /// What the users of one bucket or disk share.
    private struct Shared: Sendable {
        let uploads = TaskGate(width: Limits.uploadsPerPlace)
        let starts = TaskGate(width: Limits.startsPerPlace)
        let maintenance = TaskGate(width: Limits.maintenancePerPlace)
        let executor: ThreadExecutor
    }

    private let open: StoreOpener
    private let executor: ThreadExecutor
    private let shared = Mutex<[String: Shared]>([:])

    /// Threads for the files of one disk: a disk that hangs keeps these and no others.
    private static let threadsPerDisk = 3

    init(executor: ThreadExecutor, open: @escaping StoreOpener) {
        self.executor = executor
        self.open = open
    }

    /// The destination of an assignment. Looks at the disk: call it on a thread that may block.
    func destination(of assignment: Assignment) throws -> Destination {
        let shared = limits(of: assignment.place)
        return Destination(
            store: try open(assignment.place, assignment.credentials, shared.executor),
            name: assignment.place.description,
            uploads: shared.uploads,
            starts: shared.starts,
            maintenance: shared.maintenance
        )
    }

    private func limits(of place: StoreURL) -> Shared {
        let name = Self.sharing(place)
        return shared.withLock { shared in
            if let known = shared[name] { return known }
            // Requests to a bucket hold no thread of ours while they wait.
            let isDisk = if case .folder = place { true } else { false }
            let new = Shared(
                executor: isDisk ? ThreadExecutor(threads: Self.threadsPerDisk) : executor
            )
            shared[name] = new
            return new
        }
    }

    /// What places have in common that are served by the same machine or disk.
    private static func sharing(_ place: StoreURL) -> String {
        switch place {
        case .bucket(let url):
            let endpoint = url.options.last { $0.name == "endpoint" }?.value ?? ""
            return "s3 \(endpoint) \(url.bucket)"
        case .folder(let path):
            // The folder may not be there yet; the one above it is on the same disk then.
            var folder = path
            while folder != "/" {
                if let status = try? FileSystem.status(folder) { return "disk \(status.device)" }
                folder = FileSystem.folder(of: folder)
            }
            return "disk /"
        }
    }
}
