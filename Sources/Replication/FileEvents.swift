import Glibc
import Platform
import Synchronization

/// What a follower is woken up for.
struct WakeReason: OptionSet, Sendable {
    let rawValue: UInt8

    /// The `-wal` file was written.
    static let wal = WakeReason(rawValue: 1)
    /// The database file was written.
    static let database = WakeReason(rawValue: 2)
    /// Something happened to the names of its files.
    static let names = WakeReason(rawValue: 4)
    /// Something arrived in the store, a pipe has room, or somebody wants something of it.
    static let signal = WakeReason(rawValue: 8)
    /// Its deadline has passed.
    static let deadline = WakeReason(rawValue: 16)
}

/// Which files of which followers one inotify instance watches.
///
/// The kernel gives one number to a file however often it is watched, so several followers of one
/// database share it, and all databases of a folder share the folder's.
final class FileEvents: Sendable {
    private struct Subscription {
        var follower: Int
        var reason: WakeReason
        /// In a watched folder, the file's name; nil for a watched file.
        var name: String?
    }

    private struct Table {
        var subscriptions: [Int32: [Subscription]] = [:]
        var watches: [Int: [Int32]] = [:]
    }

    let notify: INotify
    private let table = Mutex(Table())
    /// Held while watches come and go, so that nobody removes one that is just being shared. A path
    /// that hangs delays only others who come and go.
    private let changes = Mutex(())

    init() throws(SystemError) { notify = try INotify() }

    /// Watches a database, its WAL and their names in the folder.
    func watch(_ databasePath: String, for follower: Int) throws(SystemError) {
        let written = UInt32(IN_MODIFY)
        let named = UInt32(IN_DELETE) | UInt32(IN_MOVED_FROM) | UInt32(IN_MOVED_TO)
        let wal = databasePath + "-wal"
        try changes.withLock { _ throws(SystemError) in
            try add(wal, written, Subscription(follower: follower, reason: .wal))
            try add(databasePath, written, Subscription(follower: follower, reason: .database))
            let folder = FileSystem.folder(of: databasePath)
            for path in [databasePath, wal] {
                try add(
                    folder,
                    named,
                    Subscription(
                        follower: follower,
                        reason: .names,
                        name: FileSystem.name(of: path)
                    )
                )
            }
        }
    }

    private func add(
        _ path: String,
        _ mask: UInt32,
        _ subscription: Subscription
    ) throws(SystemError) {
        guard let watch = try notify.watch(path, for: mask) else { return }
        table.withLock { table in
            table.subscriptions[watch, default: []].append(subscription)
            table.watches[subscription.follower, default: []].append(watch)
        }
    }

    /// Ends the watches of a follower, apart from those that others share.
    func unwatch(_ follower: Int) {
        changes.withLock { _ in
            let unused = table.withLock { table -> [Int32] in
                var unused: [Int32] = []
                for watch in Set(table.watches.removeValue(forKey: follower) ?? []) {
                    table.subscriptions[watch]?.removeAll { $0.follower == follower }
                    if table.subscriptions[watch]?.isEmpty == true {
                        table.subscriptions[watch] = nil
                        unused.append(watch)
                    }
                }
                return unused
            }
            for watch in unused { notify.unwatch(watch) }
        }
    }

    /// Takes the events that are waiting. One thread at a time.
    func read() throws(SystemError) -> [Int: WakeReason] {
        var found: [Int: WakeReason] = [:]
        var hasLost = false
        var events: [INotify.Event] = []
        try notify.drain { event in
            if event.mask & UInt32(IN_Q_OVERFLOW) != 0 {
                hasLost = true
            } else {
                events.append(event)
            }
        }
        table.withLock { table in
            if hasLost {
                for follower in table.watches.keys { found[follower] = [.wal, .database, .names] }
            }
            for event in events {
                for subscription in table.subscriptions[event.watch] ?? []
                where subscription.name == nil || subscription.name == event.name {
                    // A watched file that goes takes its watch with it.
                    let isGone = event.mask & UInt32(IN_IGNORED) != 0
                    found[subscription.follower, default: []]
                        .insert(isGone ? .names : subscription.reason)
                }
            }
        }
        return found
    }
}
