import Glibc
package import Platform
import Synchronization

/// Which of a database's files the kernel reports as changed.
struct FileEvents {
    /// What happened since the last look.
    struct Found {
        var wal = false
        var database = false
        var folder = false
    }

    private let walWatch: Int32?
    private let databaseWatch: Int32?
    private let folderWatch: Int32?

    /// Watches the database, its WAL and their folder.
    init(databasePath: String, notify: borrowing INotify) throws(SystemError) {
        walWatch = try notify.watch(databasePath + "-wal", for: UInt32(IN_MODIFY))
        databaseWatch = try notify.watch(databasePath, for: UInt32(IN_MODIFY))
        folderWatch = try notify.watch(
            FileSystem.folder(of: databasePath),
            for: UInt32(IN_DELETE) | UInt32(IN_MOVED_FROM) | UInt32(IN_MOVED_TO)
        )
    }

    /// Takes the events that are waiting.
    func read(_ notify: borrowing INotify) throws(SystemError) -> Found {
        var found = Found()
        try notify.drain { event in
            if event.mask & UInt32(IN_Q_OVERFLOW) != 0 {
                found = Found(wal: true, database: true, folder: true)
            } else if event.watch == walWatch {
                found.wal = true
            } else if event.watch == databaseWatch {
                found.database = true
            } else if event.watch == folderWatch {
                found.folder = true
            }
        }
        return found
    }
}

/// Asks a follower to stop; any thread may.
package final class StopRequest: Sendable {
    private let flag = Atomic<Bool>(false)
    private let wakeUp: WakeUp
    private let made: WakeUp

    /// A request that has not been made.
    package init() throws(SystemError) {
        let wakeUp = try WakeUp()
        made = try WakeUp()
        self.wakeUp = wakeUp
    }

    /// True once it was made.
    package var isRequested: Bool { flag.load(ordering: .acquiring) }

    /// Raised with the request, and by everything else that the follower waits for.
    var wakeUpFlag: WakeUp { wakeUp }

    /// Makes it.
    package func request() {
        flag.store(true, ordering: .releasing)
        wakeUp.raise()
        made.raise()
    }

    /// Makes the request when a signal comes; returns once it was made, by whomever.
    package func requestOnSignal(_ signals: Int32) throws(SystemError) {
        if try SignalPipe.wait(signals, or: made.descriptor.rawValue) { request() }
    }
}
