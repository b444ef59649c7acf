import Bytes
package import Configuration
import Platform
import Replication
import Synchronization

/// All databases that a process backs up: begins and ends agents as the settings, the folders and
/// the operator ask for it.
///
/// What is wanted changes in one task alone, one change after the other; what is there can be read
/// by anybody at any time.
package final class Fleet: Sendable {
    /// A change of what is wanted.
    enum Change: Sendable {
        case settings([DatabaseSettings])
        case register(DatabaseSettings)
        case unregister(String)
        case start(String)
        case stop(String)
        /// Time has come to look at the folders.
        case look
    }

    private struct Order: Sendable {
        let change: Change
        let reply: (@Sendable (Result<Bool, SupervisionError>) -> Void)?
    }

    struct Book: Sendable {
        /// In the order in which they are listed.
        var order: [Assignment.Key] = []
        var members: [Assignment.Key: Member] = [:]
        /// Those that are no longer wanted, and are listed until they have let go.
        var leaving: Set<Assignment.Key> = []
        /// Databases that the operator stopped.
        var stopped: Set<String> = []
        var problems: [String] = []
        var isEnding = false
    }

    private let host: FleetHost
    private let destinations: Destinations
    private let desk = VerificationDesk()
    let book = Mutex(Book())
    private let orders: AsyncStream<Order>
    private let inbox: AsyncStream<Order>.Continuation
    private let ending = StopRequest()
    private let lookInterval = Mutex(WantedDatabases.lookIntervalMin)
    /// Made when every database has been looked for once.
    private let begun = StopRequest()

    /// A fleet without databases.
    package init(_ host: FleetHost) {
        self.host = host
        destinations = Destinations(executor: host.replication.executor, open: host.open)
        (orders, inbox) = AsyncStream.makeStream(of: Order.self)
    }

    /// Backs up what `settings` ask for, until it is ended; without `retry`, until all databases
    /// have ended by themselves.
    package func run(_ settings: [DatabaseSettings]) async {
        inbox.yield(Order(change: .settings(settings), reply: nil))
        var wanted = WantedDatabases()
        await withDiscardingTaskGroup { group in
            group.addTask { await self.lookNowAndThen() }
            for await order in orders {
                let launches: [Launch]
                do throws(SupervisionError) {
                    launches = try await carryOut(order.change, &wanted)
                    order.reply?(.success(!launches.isEmpty))
                } catch {
                    launches = []
                    order.reply?(.failure(error))
                }
                for launch in launches {
                    group.addTask(executorPreference: host.replication.executor) {
                        await launch.member.run(
                            self.host,
                            self.destinations,
                            self.desk,
                            places: launch.places
                        )
                        self.ended(launch.member)
                    }
                }
                begun.request()
                if book.withLock({ $0.isEnding }) { break }
                endIfOver()
            }
            ending.request()
            inbox.finish()
            for await order in orders { order.reply?(.failure(Self.endingError)) }
        }
    }

    /// Ends all agents at the same time; the last commits may take `shutdownTime` nanoseconds.
    package func end(shutdownTime: Int64?) {
        let members = book.withLock { book -> [Member] in
            book.isEnding = true
            return Array(book.members.values)
        }
        for member in members { member.stop.request(shutdownTime: shutdownTime) }
        ending.request()
        inbox.finish()
    }

    /// Applies other settings: what has not changed goes on undisturbed.
    package func apply(_ settings: [DatabaseSettings]) async throws(SupervisionError) {
        _ = try await order(.settings(settings))
    }

    /// Databases on their way to a place.
    package var count: Int { book.withLock { $0.order.count } }

    /// What has failed so far, in the order of the settings.
    package var failures: [(assignment: Assignment, error: any Error)] {
        book.withLock { book in
            book.order.compactMap { key in
                guard let member = book.members[key], let error = member.error else { return nil }
                return (member.assignment, error)
            }
        }
    }

    /// Hands a change to the one task that makes them, and waits for it. True when agents began.
    func order(_ change: Change) async throws(SupervisionError) -> Bool {
        let result = await withCheckedContinuation { continuation in
            let order = Order(change: change) { continuation.resume(returning: $0) }
            if case .terminated = inbox.yield(order) {
                continuation.resume(returning: .failure(Self.endingError))
            }
        }
        return try result.get()
    }

    static let endingError = SupervisionError(.ending, "the agent is about to end")

    private func ended(_ member: Member) {
        book.withLock { book in
            let key = member.assignment.key
            guard book.leaving.contains(key), book.members[key] === member else { return }
            book.leaving.remove(key)
            book.members[key] = nil
            book.order.removeAll { $0 == key }
        }
        if let error = member.error, case .end = host.persistence {
            let others = book.withLock { $0.members.values.contains { !$0.ended.isRequested } }
            // The last one's error is the process's, and told in the end.
            if others {
                host.log(
                    .error,
                    "the database cannot be backed up there any more",
                    [
                        ("database", member.assignment.database),
                        ("url", "\(member.assignment.place)"), ("error", "\(error)"),
                    ]
                )
            }
        }
        endIfOver()
    }

    /// Where nothing is tried again, the end of the last member is the fleet's.
    private func endIfOver() {
        if case .retry = host.persistence { return }
        guard begun.isRequested else { return }
        let isOver = book.withLock { $0.members.values.allSatisfy(\.ended.isRequested) }
        if isOver { inbox.finish() }
    }
}

/// A member that begins, and the places of its database, to restore it from.
struct Launch: Sendable {
    let member: Member
    let places: [Assignment]
}

// MARK: - Changes

extension Fleet {
    private func carryOut(
        _ change: Change,
        _ wanted: inout WantedDatabases
    ) async throws(SupervisionError) -> [Launch] {
        switch change {
        case .settings(let settings): wanted.replaceSettings(settings)
        case .register(let database): try wanted.register(database)
        case .unregister(let path): try wanted.unregister(path)
        case .start(let path): try hold(path, false)
        case .stop(let path): try hold(path, true)
        case .look: guard wanted.hasWatchedFolders else { return [] }
        }
        if case .look = change {} else { wanted.looksEverywhere = true }
        let before = wanted
        let looked = try? await host.replication.executor.run { () -> WantedLook in
            var wanted = before
            let assignments = wanted.look()
            return WantedLook(wanted: wanted, assignments: assignments)
        }
        guard let looked else { return [] }
        wanted = looked.wanted
        lookInterval.withLock { $0 = wanted.lookInterval }
        return looked.assignments.map { reconcile(with: $0) } ?? []
    }

    private func hold(_ path: String, _ isStopped: Bool) throws(SupervisionError) {
        let isKnown = book.withLock { book -> Bool in
            guard book.order.contains(where: { $0.database == path }) else { return false }
            if isStopped { book.stopped.insert(path) } else { book.stopped.remove(path) }
            return true
        }
        guard isKnown else { throw Self.unknown(path) }
    }

    static func unknown(_ path: String) -> SupervisionError {
        SupervisionError(
            .missing,
            "this agent does not know the database '\(path)'; 'highwater list' names those it does"
        )
    }

    /// Makes what is there what is wanted.
    private func reconcile(with assignments: Assignments) -> [Launch] {
        let (launches, stops, problems) = book.withLock { book in
            guard !book.isEnding else { return ([Launch](), [Member](), [String]()) }
            var launches: [Launch] = []
            var stops: [Member] = []
            let wanted = Set(assignments.all.map(\.key))
            for key in book.order where !wanted.contains(key) {
                guard let member = book.members[key] else { continue }
                if member.ended.isRequested {
                    book.members[key] = nil
                } else {
                    stops.append(member)
                }
            }
            let places = Dictionary(grouping: assignments.all, by: \.database)
            for assignment in assignments.all {
                let member = book.members[assignment.key]
                let isStopped = book.stopped.contains(assignment.database)
                if let member, isStopped {
                    stops.append(member)
                } else if member == nil || member?.assignment != assignment
                    || member?.stop.isRequested == true
                {
                    if let member { stops.append(member) }
                    let next = Member(assignment, after: member)
                    if isStopped { next.stop.request() }
                    book.members[assignment.key] = next
                    launches.append(
                        Launch(member: next, places: places[assignment.database] ?? [])
                    )
                }
            }
            let leaving = book.order.filter { !wanted.contains($0) && book.members[$0] != nil }
            book.leaving = Set(leaving)
            book.order = assignments.all.map(\.key) + leaving
            let new = assignments.problems.filter { !book.problems.contains($0) }
            book.problems = assignments.problems
            return (launches, stops, new)
        }
        for member in stops { member.stop.request() }
        for problem in problems {
            host.log(.error, "a database is left out", [("reason", problem)])
        }
        return launches
    }

    /// Looks at the folders until the fleet ends.
    private func lookNowAndThen() async {
        while !ending.isRequested {
            await ending.pause(nanoseconds: lookInterval.withLock { $0 })
            if ending.isRequested { return }
            _ = try? await order(.look)
        }
    }
}
