import Bytes
import HTTPTransport
import ObjectStorage
import S3
import TestSupport
import Testing

@Suite struct RetryTests {
    typealias Script = ScriptedTransport
    static let done = Script.answer(200, [("etag", "\"e\"")])
    let key = ObjectKey("a/b")!

    @Test(arguments: [
        (408, "RequestTimeout"), (429, "TooManyRequests"), (500, "InternalError"),
        (502, "BadGateway"), (503, "SlowDown"), (503, "ServiceUnavailable"), (504, "x"),
        (400, "RequestTimeout"), (409, "OperationAborted"), (409, "ConditionalRequestConflict"),
        (400, "Throttling"), (509, "BandwidthLimitExceeded"), (499, "x"), (520, "x"),
        (400, "BadDigest"),
    ])
    func `what passes is tried again`(status: Int, code: String) async throws {
        let subject = try Subject(Script([Script.error(status, code), Self.done]))
        try await subject.store.put(key, bytes: [1])
        #expect(subject.transport.requests.count == 2)
        #expect(subject.transport.pauses.count == 1)
        let dates = subject.transport.requests.map { $0.header("authorization") }
        #expect(dates[0] != nil)
        #expect(subject.counters.values.requests[.put] == 2)
        #expect(subject.counters.values.failures[code] == 1)
    }

    @Test(arguments: [
        (403, "AccessDenied", StoreError.Code.accessDenied),
        (403, "SignatureDoesNotMatch", .accessDenied),
        (404, "NoSuchBucket", .noBucket),
        (404, "NoSuchKey", .notFound),
        (400, "InvalidBucketName", .invalid),
        (501, "NotImplemented", .unsupported),
        (507, "InsufficientStorage", .noSpace),
    ])
    func `what does not pass is not`(
        status: Int,
        code: String,
        expected: StoreError.Code
    ) async throws {
        let subject = try Subject(Script([Script.error(status, code)]))
        let error = await #expect(throws: StoreError.self) {
            try await subject.store.get(key)
        }
        #expect(error?.code == expected)
        #expect(subject.transport.requests.count == 1)
        let text = error?.description ?? ""
        #expect(text.contains("s3://bucket/pre/fix/a/b"))
        #expect(text.contains(code) && text.contains("\(status)"))
        #expect(text.contains("REQ1") && text.contains("HOST1"))
        #expect(!text.contains("SECRET"))
    }

    @Test(arguments: [
        TransferError.Code.unresolved, .unconnected, .timedOut, .interrupted, .handshake,
    ])
    func `networks that fail are tried again`(code: TransferError.Code) async throws {
        let subject = try Subject(Script([Script.fails(code), Self.done]))
        try await subject.store.put(key, bytes: [1])
        #expect(subject.transport.requests.count == 2)
    }

    @Test(arguments: [TransferError.Code.untrusted, .invalidURL, .failed])
    func `what somebody has to repair is not`(code: TransferError.Code) async throws {
        let subject = try Subject(Script([Script.fails(code)]))
        await #expect(throws: StoreError.self) { try await subject.store.put(key, bytes: [1]) }
        #expect(subject.transport.requests.count == 1)
    }

    @Test func `every attempt is dated and signed anew`() async throws {
        let busy = Script.answer(
            503,
            [("retry-after", "2")],
            "<Error><Code>SlowDown</Code></Error>"
        )
        let subject = try Subject(Script([busy, busy, Self.done]))
        try await subject.store.put(key, bytes: [1])
        let requests = subject.transport.requests
        #expect(requests.count == 3)
        #expect(Set(requests.compactMap { $0.header("x-amz-date") }).count == 3)
        #expect(Set(requests.compactMap { $0.header("authorization") }).count == 3)
        #expect(subject.transport.pauses == [2000, 2000])
    }

    @Test func `throttled pauses are longer`() async throws {
        let busy = Script.error(503, "SlowDown")
        let subject = try Subject(Script([busy, busy, Self.done]))
        try await subject.store.put(key, bytes: [1])
        // Half of 1 s and of 2 s.
        #expect(subject.transport.pauses == [500, 1000])
    }

    @Test func `there is an end to it`() async throws {
        let subject = try Subject(Script(then: Script.error(500, "InternalError")))
        let error = await #expect(throws: StoreError.self) {
            try await subject.store.put(key, bytes: [1])
        }
        #expect(error?.code == .unreachable)
        #expect(error?.mayHaveArrived == true)
        #expect(error?.description.contains("after 10 attempts") == true)
        #expect(subject.transport.requests.count == 10)
        #expect(subject.transport.pauses == [50, 100, 200, 400, 800, 1600, 3200, 6400, 10000])
        let down = try Subject(Script(then: Script.fails(.unconnected)))
        await #expect(throws: StoreError.self) { try await down.store.put(key, bytes: [1]) }
        #expect(down.transport.requests.count == 5)
    }

    @Test func `the store's own wish for a pause is granted, within reason`() async throws {
        for (value, pause) in [("7", Int64(7000)), ("86400", 60_000)] {
            let busy = Script.answer(
                503,
                [("retry-after", value)],
                "<Error><Code>SlowDown</Code></Error>"
            )
            let subject = try Subject(Script([busy, Self.done]))
            try await subject.store.put(key, bytes: [1])
            #expect(subject.transport.pauses == [pause])
        }
    }

    @Test func `a store that throttles is asked by fewer at once, and by more again later`()
        async throws
    {
        let gate = RequestGate(limit: 16)
        for expected in [8, 4, 2, 1, 1] {
            #expect(await gate.enter())
            gate.leave(throttled: true)
            #expect(gate.limit == expected)
        }
        for _ in 0..<20 {
            #expect(await gate.enter())
            gate.leave(throttled: false)
        }
        #expect(gate.limit == 3)
    }

    @Test(.timeLimit(.minutes(10)))
    func `who waits at the gate can give up, and the others go on`() async throws {
        let gate = RequestGate(limit: 1)
        #expect(await gate.enter())
        let impatient = Task { await gate.enter() }
        let patient = Task { await gate.enter() }
        impatient.cancel()
        #expect(await impatient.value == false)
        gate.leave(throttled: nil)
        #expect(await patient.value)
        gate.leave(throttled: nil)
        #expect(await gate.enter())
    }

    @Test func `one budget for all stops a storm`() async throws {
        let subject = try Subject(Script(then: Script.error(500, "InternalError")))
        for _ in 0..<10 {
            await #expect(throws: StoreError.self) { try await subject.store.put(key, bytes: [1]) }
        }
        // 500 tokens at 14 each are 35 retries; without the budget there would be 90.
        #expect(subject.transport.requests.count == 10 + 35)
        #expect(subject.budget.left < 14)
    }

    @Test func `the clock is corrected once, and the difference reported once`() async throws {
        let script = Script()
        let hour = Timestamp(milliseconds: script.now.milliseconds + 3_600_000)
        let text = hour.description.prefix(19) + "Z"
        let skewed = Script.error(403, "RequestTimeTooSkewed", "<ServerTime>\(text)</ServerTime>")
        script.add(skewed)
        script.add(Self.done)
        script.add(Self.done)
        let subject = try Subject(script)
        try await subject.store.put(key, bytes: [1])
        try await subject.store.put(key, bytes: [2])
        let dates = script.requests.compactMap { $0.header("x-amz-date") }
        #expect(dates.count == 3)
        #expect(dates[1] == dates[2])
        #expect(dates[0] != dates[1])
        #expect(script.pauses.isEmpty)

        let stubborn = try Subject(Script([skewed, skewed]))
        let error = await #expect(throws: StoreError.self) {
            try await stubborn.store.put(key, bytes: [1])
        }
        #expect(error?.code == .accessDenied)
        #expect(error?.description.contains("clock") == true)
        #expect(stubborn.transport.requests.count == 2)
    }

    @Test func `a refusal that only its date explains`() async throws {
        let script = Script()
        script.add(
            Script.answer(
                403,
                [("date", "Fri, 24 May 2013 00:00:00 GMT")],
                "<Error><Code>AccessDenied</Code></Error>"
            )
        )
        script.add(Self.done)
        let subject = try Subject(script)
        // Thirteen years are beyond any correction.
        await #expect(throws: StoreError.self) { try await subject.store.put(key, bytes: [1]) }
        #expect(script.requests.count == 1)
        #expect(script.lines.count { $0.contains("clocks") } == 1)
    }
}
