import Bytes
import Configuration
import FoundationEssentials
package import HTTPServer
import ObjectStorage
package import Platform
import Replication
import Synchronization

/// What the control socket and the metrics address answer (docs/CLI.md, "Control socket").
package struct Control: Sendable {
    private let fleet: Fleet
    private let process: ProcessFacts
    private let reload: @Sendable () async throws -> Void

    /// Answers for a fleet; `reload` reads the settings again.
    package init(
        _ fleet: Fleet,
        process: ProcessFacts,
        reload: @Sendable @escaping () async throws -> Void
    ) {
        self.fleet = fleet
        self.process = process
        self.reload = reload
    }

    /// A request's body.
    package struct Body: Codable, Sendable {
        /// The database's path.
        package var path: String?
        /// Where a database that is registered goes.
        package var url: String?
        /// Whether `sync` waits until everything is durable.
        package var wait: Bool?
        /// Seconds that the answer may take.
        package var timeout: Double?

        /// A body.
        package init(
            path: String? = nil,
            url: String? = nil,
            wait: Bool? = nil,
            timeout: Double? = nil
        ) {
            self.path = path
            self.url = url
            self.wait = wait
            self.timeout = timeout
        }
    }

    /// What a change came to.
    package struct Outcome: Codable, Sendable {
        /// `synced`, `requested`, `started`, `already_running`, `stopped`, `already_stopped`,
        /// `registered`, `already_registered`, `unregistered`, `reloaded`.
        package var status: String
        /// The database's path.
        package var path: String?
        /// The last commit that is durable everywhere.
        package var txid: String?
    }

    /// An answer that is no success.
    package struct Failure: Codable, Sendable {
        /// What happened and what to do.
        package var error: String
        /// `missing`, `invalid`, `notDurable`, `ending` or `unexpected`.
        package var code: String
    }

    /// Answers a request on the control socket.
    package func answer(_ request: HTTPServerRequest) async -> HTTPServerResponse {
        do {
            switch (request.method, request.path) {
            case ("GET", "/status"), ("GET", "/list"):
                return try json(fleet.report(of: request.query["path"], process: process))
            case ("GET", "/info"): return try json(fleet.report(process: process).withoutDatabases)
            case ("GET", "/metrics"), ("GET", "/healthz"), ("GET", "/readyz"):
                return answerPublic(request)
            case ("POST", "/reload"):
                try await reload()
                return try json(Outcome(status: "reloaded"))
            case ("POST", let path): return try await change(path, try body(of: request))
            default: return failure(404, "missing", "there is no '\(request.path)' here")
            }
        } catch let error as SupervisionError {
            let status: UInt32 =
                switch error.code {
                case .missing: 404
                case .invalid: 400
                case .notDurable: 504
                case .ending: 503
                }
            return failure(status, error.code.rawValue, error.message)
        } catch {
            return failure(error is ConfigurationError ? 400 : 500, "unexpected", "\(error)")
        }
    }

    /// Answers a request on the metrics address: numbers and states, nothing that changes anything.
    package func answerPublic(_ request: HTTPServerRequest) -> HTTPServerResponse {
        guard request.method == "GET" else { return Self.text(405, "only GET is answered here\n") }
        switch request.path {
        case "/metrics":
            return HTTPServerResponse(type: Metrics.type, body: fleet.metrics(process))
        case "/healthz": return Self.text(200, "ok\n")
        case "/readyz":
            let waiting = fleet.samples().filter { $0.reading.phase != .running }
            if waiting.isEmpty { return Self.text(200, "ok\n") }
            let lines = waiting.map {
                "\($0.assignment.database) \($0.assignment.replica) \($0.reading.phase.rawValue)\n"
            }
            return Self.text(503, lines.joined())
        default: return Self.text(404, "here are /metrics, /healthz and /readyz\n")
        }
    }

    private func body(of request: HTTPServerRequest) throws -> Body {
        guard let body = try? JSONDecoder().decode(Body.self, from: Data(request.body)) else {
            throw SupervisionError(.invalid, "the body is not a JSON object with 'path'")
        }
        return body
    }

    private func json(_ value: some Encodable) throws -> HTTPServerResponse {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return HTTPServerResponse(
            type: "application/json",
            body: Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
        )
    }

    private func failure(_ status: UInt32, _ code: String, _ text: String) -> HTTPServerResponse {
        var response =
            (try? json(Failure(error: text, code: code)))
            ?? Self.text(status, "the error cannot be written\n")
        response.status = status
        return response
    }

    private static func text(_ status: UInt32, _ text: String) -> HTTPServerResponse {
        HTTPServerResponse(status: status, body: Array(text.utf8))
    }
}

// MARK: - Changes

extension Control {
    /// Seconds that a change may take when nothing is said.
    private static let timeout = 30.0

    private func change(_ name: String, _ body: Body) async throws -> HTTPServerResponse {
        guard ["/sync", "/start", "/stop", "/register", "/unregister"].contains(name) else {
            throw SupervisionError(.missing, "there is no '\(name)' here")
        }
        guard let path = body.path, path.hasPrefix("/") else {
            throw SupervisionError(.invalid, "'path' has to be the database's absolute path")
        }
        let seconds = body.timeout ?? Self.timeout
        guard seconds > 0, seconds <= 86_400 else {
            throw SupervisionError(
                .invalid,
                "'timeout' has to be above 0 and at most 86400 seconds"
            )
        }
        let limit = MonotonicTime.now + Int64(seconds * 1e9)
        switch name {
        case "/sync": return try json(try await fleet.sync(path, body.wait ?? false, until: limit))
        case "/start": return try json(try await fleet.start(path))
        case "/stop": return try json(try await fleet.stop(path, until: limit))
        case "/register":
            guard let url = body.url else {
                throw SupervisionError(.invalid, "'url' has to say where the database goes")
            }
            return try json(try await fleet.register(path, url: url))
        default: return try json(try await fleet.unregister(path, until: limit))
        }
    }
}

extension Fleet {
    private func members(of path: String) throws(SupervisionError) -> [Member] {
        let members = book.withLock { book in
            book.order.filter { $0.database == path }.compactMap { book.members[$0] }
        }
        guard !members.isEmpty else { throw Self.unknown(path) }
        return members
    }

    /// Makes everything durable that is committed now, at all places of a database.
    package func sync(
        _ path: String,
        _ waits: Bool,
        until limit: MonotonicTime
    ) async throws(SupervisionError) -> Control.Outcome {
        let members = try members(of: path)
        let done = StopRequest()
        let tally = Tally(members.count) { done.request() }
        for member in members { member.meter.requestSync { tally.add($0) } }
        if waits {
            await done.pause(nanoseconds: max(0, limit - .now))
            guard done.isRequested, tally.allDurable else {
                let problem = members.lazy.compactMap { $0.meter.reading.problem }.first
                let phase = members.lazy.map { $0.meter.reading.phase }.first { $0 != .running }
                let reason =
                    problem ?? phase.map { "the agent is \($0.rawValue)" }
                    ?? "the store has not answered in time"
                throw SupervisionError(.notDurable, "'\(path)' is not durable yet: \(reason)")
            }
        }
        let txid = members.compactMap { $0.meter.reading.durable }.min()
        return Control.Outcome(
            status: waits ? "synced" : "requested",
            path: path,
            txid: txid?.description
        )
    }

    /// Begins to back up a database again that was stopped.
    package func start(_ path: String) async throws(SupervisionError) -> Control.Outcome {
        let began = try await order(.start(path))
        return Control.Outcome(status: began ? "started" : "already_running", path: path)
    }

    /// Makes a database's last commits durable and lets go of it.
    package func stop(
        _ path: String,
        until limit: MonotonicTime
    ) async throws(SupervisionError) -> Control.Outcome {
        let members = try members(of: path)
        let wasStopped = members.allSatisfy(\.ended.isRequested)
        _ = try await order(.stop(path))
        try await wait(for: members, path, until: limit)
        return Control.Outcome(status: wasStopped ? "already_stopped" : "stopped", path: path)
    }

    /// Backs up a database that the settings do not name.
    package func register(
        _ path: String,
        url: String
    ) async throws(SupervisionError) -> Control.Outcome {
        let place: StoreURL
        do throws(StoreError) { place = try StoreURL.parse(url) } catch {
            throw SupervisionError(.invalid, "\(error)")
        }
        let replica = ReplicaSettings(place: place, line: 0)
        let settings = DatabaseSettings(place: .file(path), line: 0, replicas: [replica])
        let began = try await order(.register(settings))
        return Control.Outcome(status: began ? "registered" : "already_registered", path: path)
    }

    /// Leaves a database out; its last commits are made durable.
    package func unregister(
        _ path: String,
        until limit: MonotonicTime
    ) async throws(SupervisionError) -> Control.Outcome {
        let members = try members(of: path)
        _ = try await order(.unregister(path))
        try await wait(for: members, path, until: limit)
        return Control.Outcome(status: "unregistered", path: path)
    }

    private func wait(
        for members: [Member],
        _ path: String,
        until limit: MonotonicTime
    ) async throws(SupervisionError) {
        for member in members {
            await member.ended.pause(nanoseconds: max(0, limit - .now))
            guard member.ended.isRequested else {
                throw SupervisionError(
                    .notDurable,
                    "'\(path)' is being let go, but its last commits are not durable yet"
                )
            }
        }
    }
}
