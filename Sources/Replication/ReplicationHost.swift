package import Bytes
package import ObjectStorage
package import Platform
import Synchronization

/// What all databases of a process share: the threads, the memory, and the tag of this writer.
package struct ReplicationHost: Sendable {
    /// Drives the followers.
    package let loop: FollowerLoop
    /// Threads for calls that block: attaching, digests, looks at files.
    package let executor: ThreadExecutor
    /// What may wait for stores in memory.
    package let memory: MemoryBudget
    /// The tag of this process in the store.
    package let writer: WriterTag
    /// The program's version, for generation.json.
    package let version: String
    /// How many databases may be followed.
    let descriptors: DescriptorBudget
    /// What starts and maintenance needed for a moment.
    let freed: FreedMemory

    /// Starts the threads; one host per process.
    package init(
        version: String,
        executor: ThreadExecutor,
        memoryLimit: Int = Limits.memoryBytes,
        loopThreads: Int = Limits.loopThreads
    ) throws(SystemError) {
        self.version = version
        memory = MemoryBudget(limit: memoryLimit)
        self.executor = executor
        freed = FreedMemory()
        descriptors = DescriptorBudget(limit: FileSystem.descriptorLimit)
        loop = try FollowerLoop(threads: loopThreads)
        writer = WriterTag(Chance.bits())
    }
}

/// A store, and how much may be asked of it at a time. Databases that go to one place share one,
/// so that a place that hangs holds up nobody who goes elsewhere.
package final class Destination: Sendable {
    /// Where objects go.
    package let store: any ObjectStore
    /// What it is called: the URL without secrets.
    package let name: String
    let uploads: TaskGate
    let starts: TaskGate
    let maintenance: TaskGate

    /// A destination with limits of its own.
    package init(
        store: any ObjectStore,
        name: String,
        uploads: TaskGate = TaskGate(width: Limits.uploadsPerPlace),
        starts: TaskGate = TaskGate(width: Limits.startsPerPlace),
        maintenance: TaskGate = TaskGate(width: Limits.maintenancePerPlace)
    ) {
        self.store = store
        self.name = name
        self.uploads = uploads
        self.starts = starts
        self.maintenance = maintenance
    }
}

/// A database's place among those that start: held until its base is in the store, or until it
/// follows on where the store ended. Given back once.
final class StartSlot: Sendable {
    private let gate: TaskGate
    private let isTaken = Mutex(false)

    init(_ gate: TaskGate) { self.gate = gate }

    func take() async {
        await gate.acquire()
        isTaken.withLock { $0 = true }
    }

    func giveBack() {
        let wasTaken = isTaken.withLock { taken in
            defer { taken = false }
            return taken
        }
        if wasTaken { gate.release() }
    }
}
