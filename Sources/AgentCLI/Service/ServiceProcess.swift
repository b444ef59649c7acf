import Configuration
import Glibc
import HTTPServer
import Platform
import Replication
import Supervision
import Synchronization

/// What runs beside the fleet: signals, sockets, the application, the watchdog.
final class ServiceProcess: Sendable {
    private let fleet: Fleet
    private let settings: Settings
    private let reread: (@Sendable () throws -> Settings)?
    private let log: ReplicationLog
    private let notification = ServiceNotification(environment: ProcessEnvironment.current)
    private let facts = ProcessFacts(version: Highwater.version, pid: getpid())
    private let command = Mutex<ExecutedCommand?>(nil)
    private let isEnding = StopRequest()

    init(
        fleet: Fleet,
        settings: Settings,
        reread: (@Sendable () throws -> Settings)?,
        log: @escaping ReplicationLog
    ) {
        self.fleet = fleet
        self.settings = settings
        self.reread = reread
        self.log = log
    }

    /// The sockets that are served.
    struct Servers: Sendable {
        var control: HTTPServer?
        var metrics: HTTPServer?
    }

    /// Opens the sockets, so that a wrong address is an error before anything begins.
    func listen() throws -> Servers {
        var servers = Servers()
        if let path = settings.socketPath {
            do throws(SupervisionError) {
                servers.control = try listen(atPath: path)
            } catch {
                guard settings.canMissSocket else { throw error }
                log(.warning, "there is no control socket", [("reason", error.message)])
            }
        }
        if let address = settings.address, !address.isEmpty {
            guard let parsed = ListenAddress(address) else {
                throw SupervisionError(
                    .invalid,
                    "'\(address)' is not an address; write host:port, or :port for all addresses "
                        + "of this machine"
                )
            }
            do throws(SystemError) {
                servers.metrics = try HTTPServer(
                    listener: LocalSocket.listen(host: parsed.host, port: "\(parsed.port)")
                )
            } catch {
                throw SupervisionError(
                    .invalid,
                    "metrics cannot be served at '\(address)': \(error)"
                )
            }
        }
        return servers
    }

    private func listen(atPath path: String) throws(SupervisionError) -> HTTPServer {
        do throws(SystemError) {
            let permissions = settings.socketPermissions
            return try HTTPServer(
                listener: LocalSocket.listen(atPath: path, permissions: permissions)
            )
        } catch {
            throw SupervisionError(
                .invalid,
                error.number == EADDRINUSE
                    ? "another agent listens at the control socket '\(path)'; end it, or name "
                        + "another socket"
                    : "the control socket cannot be opened: \(error); its folder has to exist "
                        + "and be writable"
            )
        }
    }

    /// Runs everything; the application's exit code, if there was one. `beforehand` is done before
    /// the application begins.
    func run(
        _ servers: Servers,
        _ signals: borrowing SignalPipe,
        on executor: ThreadExecutor,
        beforehand: @Sendable @escaping () async throws -> Void
    ) async throws -> Int32? {
        let ended = try WakeUp()
        let descriptor = signals.descriptor.rawValue
        let code = StoredCode()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: executor) {
                try await self.handleSignals(descriptor, until: ended.descriptor.rawValue)
            }
            // Signals are handled for as long as there is anybody whom they concern.
            let last = Tally(2) { ended.raise() }
            let mayBegin = StopRequest()
            if let line = settings.command {
                group.addTask(executorPreference: executor) {
                    defer {
                        self.end()
                        mayBegin.request()
                        last.add(true)
                    }
                    try await beforehand()
                    mayBegin.request()
                    try await self.execute(line, on: executor, code)
                }
            } else {
                mayBegin.request()
                last.add(true)
            }
            serve(servers, in: &group, on: executor)
            group.addTask(executorPreference: executor) { await self.keepWatchdogCalm() }
            group.addTask(executorPreference: executor) {
                // Nobody else restores a database meanwhile.
                await mayBegin.made()
                await self.fleet.run(self.settings.databases)
                self.isEnding.request()
                last.add(true)
                servers.control?.stop()
                servers.metrics?.stop()
            }
            notification.ready()
            var failure: (any Error)?
            // What failed first is the cause; everything else is let end in peace.
            while let result = await group.nextResult() {
                guard case .failure(let error) = result else { continue }
                failure = failure ?? error
                end()
            }
            if let failure { throw failure }
        }
        if let path = settings.socketPath, servers.control != nil { try? FileSystem.remove(path) }
        return code.value
    }

    private func end() {
        guard !isEnding.isRequested else { return }
        isEnding.request()
        notification.stopping()
        fleet.end(shutdownTime: settings.shutdownTime)
    }

    private func serve(
        _ servers: Servers,
        in group: inout ThrowingTaskGroup<Void, any Error>,
        on executor: ThreadExecutor
    ) {
        let control = Control(fleet, process: facts) { try await self.reload() }
        if let server = servers.control {
            group.addTask(executorPreference: executor) {
                await server.run { await control.answer($0) }
            }
        }
        if let server = servers.metrics {
            group.addTask(executorPreference: executor) {
                await server.run { control.answerPublic($0) }
            }
        }
    }

    // MARK: - Signals

    private func handleSignals(_ descriptor: Int32, until ended: Int32) async throws {
        while let delivery = try SignalPipe.next(descriptor, or: ended) {
            let application = command.withLock { $0 }
            if let application, !delivery.isFromTerminal { application.signal(delivery.signal) }
            switch delivery.signal {
            case SIGHUP where reread != nil:
                do { try await reload() } catch {
                    log(
                        .error,
                        "the configuration was not read again, everything goes on as before",
                        [("error", "\(error)")]
                    )
                }
            // Where there is no file to read again, a terminal has gone.
            case SIGHUP where settings.command == nil: end()
            case SIGCHLD: Orphans.reap()
            case SIGTERM, SIGINT:
                // The application ends first: what it commits while it does so is kept, too.
                if application == nil { end() }
            default: break
            }
        }
    }

    /// Reads the settings again and applies them; what has not changed goes on undisturbed.
    private func reload() async throws {
        guard let reread else {
            throw SupervisionError(.invalid, "this agent was started without a configuration file")
        }
        notification.reloading()
        defer { notification.ready() }
        let new = try reread()
        try await fleet.apply(new.databases)
        if new.address != settings.address || new.socketPath != settings.socketPath
            || new.socketPermissions != settings.socketPermissions
            || new.command != settings.command
        {
            log(.warning, "'addr', 'socket' and 'exec' only change with a restart", [])
        }
        log(.info, "the configuration was read again", [])
    }

    // MARK: - The application

    private func execute(
        _ line: String,
        on executor: ThreadExecutor,
        _ code: StoredCode
    ) async throws {
        let application = try ExecutedCommand(line)
        command.withLock { $0 = application }
        // A signal that came before there was somebody to pass it on to.
        if isEnding.isRequested { application.signal(SIGTERM) }
        log(.info, "the application runs", [])
        let result = try application.wait()
        command.withLock { $0 = nil }
        SignalPipe.endAtOnce(exitCode: 130)
        log(.info, "the application has ended", [("exit_code", "\(result)")])
        code.value = result
    }

    private func keepWatchdogCalm() async {
        guard let interval = notification.watchdogInterval else { return }
        while !isEnding.isRequested {
            notification.alive()
            await isEnding.pause(nanoseconds: interval)
        }
    }
}

/// A code that one task stores and another reads.
private final class StoredCode: Sendable {
    private let stored = Mutex<Int32?>(nil)

    var value: Int32? {
        get { stored.withLock { $0 } }
        set { stored.withLock { $0 = newValue } }
    }
}
