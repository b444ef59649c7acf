import Bytes
import HTTPTransport
import ObjectStorage
import Platform
import Synchronization

extension S3Client {
    /// Waits until a failed request may be sent again, with what was wrong put right.
    ///
    /// - Throws: the failure, when nothing helps or the attempts are used up.
    func prepareRetry(
        _ request: S3Request,
        _ failure: S3Failure,
        _ course: inout Course
    ) async throws(S3Failure) {
        var failure = failure
        failure.attempts = course.attempt
        failure.mayHaveArrived = course.mayHaveArrived
        if Task.isCancelled { throw failure }
        if request.resumes, case .transfer(let error) = failure.cause, error.partial != nil {
            throw failure
        }
        let remedy = remedy(for: failure, course)
        switch remedy {
        case .none: throw failure
        case .clock, .credentials, .region:
            guard course.tried.insert(remedy).inserted,
                await applied(remedy, failure, course)
            else { throw failure }
            return
        case .again, .later: try await pause(request, failure, remedy == .later, &course)
        }
    }

    /// The remedy, with the signs that a store's code alone does not give.
    private func remedy(for failure: S3Failure, _ course: Course) -> Remedy {
        guard case .answer(let answer) = failure.cause else { return failure.remedy }
        let isRefusal = answer.status == 400 || answer.status == 403
        if isRefusal, let region = answer.region, region != course.signedFor,
            configuration.provider.hasRegions || answer.code == "AuthorizationHeaderMalformed"
        {
            return .region
        }
        // Some stores say AccessDenied, or the like, to a request that is dated wrong.
        if isRefusal, failure.remedy == .none, let date = answer.date,
            abs(date.milliseconds - course.signedAt.milliseconds) > 300_000
        {
            return .clock
        }
        return failure.remedy
    }

    private func pause(
        _ request: S3Request,
        _ failure: S3Failure,
        _ throttled: Bool,
        _ course: inout Course
    ) async throws(S3Failure) {
        var attempts = policy.attempts
        if case .transfer(let error) = failure.cause,
            [.unresolved, .unconnected, .handshake].contains(error.code)
        {
            attempts = min(attempts, policy.connectionAttempts)
        }
        var pause = policy.pause(
            after: course.attempt,
            throttled: throttled,
            random: clock.random()
        )
        if case .answer(let answer) = failure.cause {
            pause = max(pause, answer.retryAfterMilliseconds ?? 0)
        }
        let elapsed = (clock.monotonic() - course.started) / Nanoseconds.millisecond
        let cost = RetryBudget.cost(throttled: throttled)
        guard course.attempt < attempts, elapsed + pause <= policy.budgetMilliseconds,
            request.totalMilliseconds == nil, budget.take(cost)
        else { throw failure }
        course.lastCost = cost
        log(
            .debug,
            "store request failed, trying again",
            [
                ("request", request.kind.rawValue), ("key", request.key ?? ""),
                ("error", failure.summary), ("attempt", "\(course.attempt)"),
                ("pause_ms", "\(pause)"),
            ]
        )
        do {
            try await clock.sleep(pause)
        } catch {
            throw failure
        }
    }

    /// Puts right what the store complained of; false when that is not possible.
    private func applied(_ remedy: Remedy, _ failure: S3Failure, _ course: Course) async -> Bool {
        guard case .answer(let answer) = failure.cause else { return false }
        switch remedy {
        case .clock: return corrected(by: answer)
        case .credentials:
            guard let refused = course.signedBy else { return false }
            return await credentials.replace(refused)
        case .region:
            // Another request may have been told so before: then this one only has to follow.
            return region != course.signedFor || moved(by: answer)
        case .none, .again, .later: return false
        }
    }

    // MARK: - The store's clock

    /// Dates the next requests by the store's clock.
    private func corrected(by answer: ErrorAnswer) -> Bool {
        guard let date = answer.date else { return false }
        let offset = date.milliseconds - clock.now().milliseconds
        guard abs(offset) <= Limits.clockCorrectionSeconds * 1000 else { return false }
        state.withLock { $0.correction = offset }
        return true
    }

    /// Remembers what an answer says of the store's clock.
    func noteClock(_ response: HTTPResponse) {
        guard let date = response.header("date").flatMap({ HTTPDate.parse($0) }) else { return }
        // The date has whole seconds: in the middle of one it is right to half a second.
        let offset = date.milliseconds + 500 - clock.now().milliseconds
        let isFar = abs(offset) > Limits.clockWarningSeconds * 1000
        let warns = state.withLock { state in
            state.offset = offset
            defer { state.hasWarned = state.hasWarned || isFar }
            return isFar && !state.hasWarned
        }
        guard warns else { return }
        log(
            .warning,
            "the clocks of this machine and of the store differ; set this machine's clock",
            [("seconds", "\(offset / 1000)"), ("bucket", configuration.bucket)]
        )
    }

    // MARK: - The bucket's region

    /// Follows a redirect of the store's: to another region, never to a host that does not belong
    /// to the store, never from https to http.
    private func moved(by answer: ErrorAnswer) -> Bool {
        let current = configuration.address(region: region).endpoint
        var target: Endpoint?
        if configuration.endpoint != nil, let location = answer.location {
            // Only a store at an endpoint of the user's can send us to another of its hosts.
            guard let endpoint = Self.redirect(location, from: current) else { return false }
            target = endpoint
        }
        let named = answer.region.map { name in
            name.isEmpty ? "us-east-1" : name == "EU" ? "eu-west-1" : name
        }
        let region = named ?? regionInHost(of: answer) ?? self.region
        guard region != self.region || target != nil,
            region.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") }),
            // Amazon's host is made of the region's name.
            configuration.endpoint != nil || S3Configuration.isHostLabel(region)
        else { return false }
        state.withLock { state in
            state.signer = Signer(region: region)
            state.endpoint = target ?? state.endpoint
        }
        log(.info, "the bucket is in another region", [("region", region)])
        return true
    }

    /// The endpoint in a `Location` or `<Endpoint>`, when credentials may go there.
    static func redirect(_ location: String, from current: Endpoint) -> Endpoint? {
        let hasScheme = location.contains("://")
        let text = hasScheme ? location : (current.isSecure ? "https://" : "http://") + location
        // The path repeats the request's; only the host matters.
        let scheme = text.firstRange(of: "://")?.upperBound ?? text.startIndex
        let end = text[scheme...].firstIndex { "/?".contains($0) } ?? text.endIndex
        guard let endpoint = Endpoint(String(text[..<end])) else { return nil }
        guard endpoint.isSecure || !current.isSecure else { return nil }
        guard
            endpoint.host == current.host || endpoint.host.hasSuffix("." + current.host)
                || current.host.hasSuffix("." + endpoint.host)
        else { return nil }
        return endpoint == current ? nil : endpoint
    }

    /// `bucket.s3.eu-west-3.amazonaws.com`, which Amazon's redirects name, tells the region.
    private func regionInHost(of answer: ErrorAnswer) -> String? {
        guard configuration.provider.hasRegions, let location = answer.location else { return nil }
        let host = location.split(separator: "/").first { $0.contains(".") } ?? ""
        var labels = host.split(separator: ".")
        guard host.hasSuffix(".amazonaws.com"),
            let s3 = labels.firstIndex(where: {
                $0 == "s3" || $0.hasPrefix("s3-")
            })
        else { return nil }
        labels.removeFirst(s3)
        if labels[0].hasPrefix("s3-") { return String(labels[0].dropFirst(3)) }
        return labels.count > 3 ? String(labels[1]) : nil
    }
}

extension S3Failure {
    /// One line without names of objects.
    var summary: String {
        switch cause {
        case .answer(let answer): "\(answer.status) \(answer.code)"
        case .transfer(let error): error.message
        case .credentials(let error): error.description
        case .malformed(let text): text
        }
    }
}
