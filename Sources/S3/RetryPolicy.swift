import HTTPTransport
import Synchronization

/// What to do about a failure.
enum Remedy: Sendable, Hashable {
    /// Nothing helps.
    case none
    /// Ask again soon.
    case again
    /// Ask again later: the store has too much to do.
    case later
    /// Correct the clock, then ask again.
    case clock
    /// Fetch new credentials, then ask again.
    case credentials
    /// Ask the region that the answer names.
    case region
}

extension S3Failure {
    /// S3's codes that tell more than their status. Everything else goes by status.
    private static let codes: [String: Remedy] = [
        "InternalError": .again, "RequestTimeout": .again, "RequestTimeoutException": .again,
        "OperationAborted": .again, "ConditionalRequestConflict": .again,
        "PriorRequestNotComplete": .later, "IncompleteBody": .again, "BadDigest": .again,
        "XAmzContentSHA256Mismatch": .again, "SlowDown": .later, "ServiceUnavailable": .later,
        "Throttling": .later, "ThrottlingException": .later, "ThrottledException": .later,
        "RequestThrottled": .later, "RequestThrottledException": .later,
        "TooManyRequests": .later, "TooManyRequestsException": .later,
        "RequestLimitExceeded": .later, "BandwidthLimitExceeded": .later, "Busy": .later,
        "LimitExceededException": .later, "ProvisionedThroughputExceededException": .later,
        "TransactionInProgressException": .later, "EC2ThrottledException": .later,
        "RequestTimeTooSkewed": .clock, "RequestExpired": .clock, "RequestInTheFuture": .clock,
        "TooSkewed": .clock,
        "ExpiredToken": .credentials, "ExpiredTokenException": .credentials,
        "TokenRefreshRequired": .credentials, "InvalidToken": .credentials,
        "InvalidAccessKeyId": .credentials,
        "PermanentRedirect": .region, "TemporaryRedirect": .region,
        "AuthorizationHeaderMalformed": .region, "IllegalLocationConstraintException": .region,
        "NotImplemented": .none, "NotSupported": .none,
    ]

    private static let statuses: [Int: Remedy] = [
        301: .region, 307: .region, 408: .again, 429: .later, 499: .again, 500: .again,
        502: .again, 503: .later, 504: .again, 520: .again, 521: .again, 522: .again, 524: .again,
    ]

    /// What may help.
    var remedy: Remedy {
        switch cause {
        case .answer(let answer):
            if answer.isFromS3, let remedy = Self.codes[answer.code] { return remedy }
            return Self.statuses[answer.status] ?? .none
        case .transfer(let error): return error.isRetryable ? .again : .none
        case .credentials(let error): return error.isRetryable ? .again : .none
        case .malformed: return .again
        }
    }
}

/// How often and how long a failed request is repeated.
package struct RetryPolicy: Sendable {
    /// Attempts in all.
    package var attempts: Int
    /// Attempts in all when nobody answers at the address: it is more often wrong than down.
    package var connectionAttempts: Int
    /// No attempt begins later than this after the first, in milliseconds.
    package var budgetMilliseconds: Int64
    /// The longest pause, in milliseconds.
    package var pauseMaxMilliseconds: Int64 = 20_000

    /// A policy of the caller's.
    package init(attempts: Int, connectionAttempts: Int, budgetMilliseconds: Int64) {
        self.attempts = attempts
        self.connectionAttempts = connectionAttempts
        self.budgetMilliseconds = budgetMilliseconds
    }

    /// Somebody waits for the command.
    package static let interactive = RetryPolicy(
        attempts: 10,
        connectionAttempts: 5,
        budgetMilliseconds: 300_000
    )

    /// A service, which asks again by itself and shows meanwhile that it is behind.
    package static let service = RetryPolicy(
        attempts: 5,
        connectionAttempts: 3,
        budgetMilliseconds: 60_000
    )

    /// Milliseconds before attempt `attempt` + 1: a random part of a span that doubles, so that
    /// many clients do not come back at once. `random` is from 0 to 1.
    package func pause(after attempt: Int, throttled: Bool, random: Double) -> Int64 {
        let base: Int64 = throttled ? 1000 : 100
        let span = min(pauseMaxMilliseconds, base << Int64(min(attempt - 1, 20)))
        return Int64(Double(span) * random)
    }
}

/// What all retries of the process draw from, so that a store in trouble is not asked over and
/// over by every database at once: 500 tokens; a retry takes 14, after throttling 5; a success
/// gives 1 back, and one that a retry brought gives back what the retry took.
package final class RetryBudget: Sendable {
    /// The process's budget.
    package static let shared = RetryBudget()

    private static let capacity = 500
    private let tokens = Mutex(RetryBudget.capacity)

    /// A full budget.
    package init() {}

    /// What is left.
    package var left: Int { tokens.withLock { $0 } }

    /// What one retry costs.
    static func cost(throttled: Bool) -> Int { throttled ? 5 : 14 }

    /// Takes the price of a retry; false when there is not enough left.
    func take(_ cost: Int) -> Bool {
        tokens.withLock { tokens in
            guard tokens >= cost else { return false }
            tokens -= cost
            return true
        }
    }

    /// A request has succeeded; the retry before it had cost `cost`.
    func refill(_ cost: Int?) {
        tokens.withLock { $0 = min(Self.capacity, $0 + (cost ?? 1)) }
    }
}
