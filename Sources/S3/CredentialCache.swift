import Bytes
package import ObjectStorage
import Platform
import Synchronization

/// One place where credentials may be found.
package protocol CredentialProvider: Sendable {
    /// What log lines call it.
    var name: String { get }

    /// The credentials; nil when this place has none, so that the next one is asked.
    func load() async throws(CredentialError) -> Credentials?
}

/// Credentials that are there already.
package struct StaticCredentials: CredentialProvider {
    /// As the protocol says.
    package let name: String
    private let credentials: Credentials

    /// A provider of `credentials`.
    package init(_ credentials: Credentials) {
        self.credentials = credentials
        name = credentials.source
    }

    /// As the protocol says.
    package func load() async throws(CredentialError) -> Credentials? { credentials }
}

/// The credentials in use. They are loaded when the first request needs them, and renewed before
/// they end: one task loads, the others wait for it or go on with what is there.
package final class CredentialCache: Sendable {
    private enum Loading { case no, running([CheckedContinuation<Void, Never>]) }

    private struct State {
        var current: Credentials?
        var failure: CredentialError?
        var loading = Loading.no
        var hasLogged = false
        /// After a failed renewal the next one begins no earlier than this.
        var notBefore = Timestamp(milliseconds: 0)
    }

    private let providers: [any CredentialProvider]
    private let clock: ClientClock
    private let log: StoreLog
    private let state = Mutex(State())
    /// Renewal begins this long before the end, in milliseconds; not at the same time for all.
    private let advisory: Int64

    /// From here on before the end requests wait for the renewal, in milliseconds.
    private static let mandatory: Int64 = 60_000
    private static let retryPause: Int64 = 30_000

    /// A cache that asks `providers` in their order.
    package init(
        _ providers: [any CredentialProvider],
        clock: ClientClock = .system,
        log: @escaping StoreLog = { _, _, _ in }
    ) {
        self.providers = providers
        self.clock = clock
        self.log = log
        advisory = 600_000 + Int64(clock.random() * 300_000)
    }

    /// Credentials that are good now.
    func current() async throws(CredentialError) -> Credentials {
        while true {
            enum Step { case use(Credentials), load, wait, fail(CredentialError) }
            let now = clock.now()
            let step = state.withLock { state -> Step in
                let left = state.current.map { remaining($0, now) } ?? .min
                let isRunning = if case .running = state.loading { true } else { false }
                if let current = state.current {
                    let isGood = left > Self.mandatory || (isRunning && left > 0)
                    let mayLoad = !isRunning && now >= state.notBefore
                    if isGood, left > advisory || !mayLoad { return .use(current) }
                    if left > 0, !mayLoad, !isRunning { return .use(current) }
                }
                if isRunning { return .wait }
                if let failure = state.failure, now < state.notBefore { return .fail(failure) }
                state.loading = .running([])
                return .load
            }
            switch step {
            case .use(let credentials): return credentials
            case .fail(let error): throw error
            case .load: try await load()
            case .wait: await waitForLoad()
            }
        }
    }

    /// Loads new credentials after the store refused `old`, unless somebody has done so already;
    /// false when there are no others to be had.
    func replace(_ old: Credentials) async -> Bool {
        state.withLock { state in
            guard state.current.map({ Self.areSame($0, old) }) ?? false else { return }
            state.current = nil
            state.failure = nil
            state.notBefore = Timestamp(milliseconds: 0)
        }
        guard let new = try? await current() else { return false }
        return !Self.areSame(new, old)
    }

    private static func areSame(_ a: Credentials, _ b: Credentials) -> Bool {
        a.accessKeyID == b.accessKeyID && a.secretAccessKey == b.secretAccessKey
            && a.sessionToken == b.sessionToken
    }

    private func remaining(_ credentials: Credentials, _ now: Timestamp) -> Int64 {
        guard let end = credentials.expiration else { return .max }
        return end.milliseconds - now.milliseconds
    }

    private func waitForLoad() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard case .running(let waiting) = state.loading else { return true }
                state.loading = .running(waiting + [continuation])
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    /// Asks the providers and lets those go on who wait. The loading task's cancellation does not
    /// reach the providers: others wait for the same answer.
    private func load() async throws(CredentialError) {
        var outcome = await CancellationShield.run { await self.ask() }
        let now = clock.now()
        if case .success(let credentials) = outcome, remaining(credentials, now) <= 0 {
            outcome = .failure(
                CredentialError(
                    "the credentials from \(credentials.source) have expired",
                    isRetryable: false
                )
            )
        }
        let (waiting, failure, isNew) = state.withLock { state in
            var waiting: [CheckedContinuation<Void, Never>] = []
            if case .running(let list) = state.loading { waiting = list }
            state.loading = .no
            var failure: CredentialError?
            switch outcome {
            case .success(let credentials):
                state.current = credentials
                state.failure = nil
                // Some lend for less time than the advisory span: not again at once.
                state.notBefore = Timestamp(milliseconds: now.milliseconds + Self.retryPause)
            case .failure(let error):
                state.failure = error
                state.notBefore = Timestamp(milliseconds: now.milliseconds + Self.retryPause)
                let isUsable = state.current.map { remaining($0, now) > 0 } ?? false
                failure = isUsable ? nil : error
            }
            defer { state.hasLogged = true }
            return (waiting, failure, !state.hasLogged)
        }
        for continuation in waiting { continuation.resume() }
        switch outcome {
        case .success(let credentials):
            log(
                isNew ? .info : .debug,
                "credentials for the store",
                [("from", credentials.source), ("access_key_id", credentials.accessKeyID)]
            )
        case .failure(let error):
            log(.warning, "credentials could not be loaded", [("error", error.description)])
        }
        if let failure { throw failure }
    }

    private func ask() async -> Result<Credentials, CredentialError> {
        for provider in providers {
            do {
                if let found = try await provider.load() { return .success(found) }
            } catch {
                return .failure(error)
            }
        }
        let names = providers.map(\.name).joined(separator: ", ")
        return .failure(
            CredentialError(
                "no credentials were found (looked at: \(names)); set AWS_ACCESS_KEY_ID and"
                    + " AWS_SECRET_ACCESS_KEY, or see docs/S3.md"
            )
        )
    }
}
