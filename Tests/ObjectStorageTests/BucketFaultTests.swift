import ObjectStorage
import Platform
import S3
import TestSupport
import Testing

/// Each way in which the strict server misbehaves, and what comes of it: the right data or the
/// right error, and how many requests that took.
@Suite(.serialized) struct BucketFaultTests {
    /// What is asked while the rules hold.
    enum Action: Sendable {
        case get, head, list, delete, put, putIfAbsent, putLong
    }

    /// A way to misbehave, and the outcome.
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let action: Action
        /// A JSON list, see Tests/S3Servers/strict/faults.py.
        let rules: String
        /// Nil when it succeeds all the same.
        var failure: StoreError.Code?
        /// How many requests it takes.
        var requests: ClosedRange<Int> = 1...4
        var options: [BucketURL.Option] = []

        var testDescription: String { "\(action): \(name)" }
    }

    /// Pauses too short to wait for, and few attempts.
    static let policy: RetryPolicy = {
        var policy = RetryPolicy(attempts: 4, connectionAttempts: 2, budgetMilliseconds: 30_000)
        policy.pauseMaxMilliseconds = 30
        return policy
    }()

    static let server = Result { try StrictServer() }
    static let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ $0 >> 7) }
    static let hasty = [BucketURL.Option("timeout", "1")]

    static func answer(_ code: String, times: Int? = nil) -> String {
        #"[{"action": "answer", "code": "\#(code)""# + limit(times)
    }

    static func action(_ action: String, times: Int? = nil, _ more: String = "") -> String {
        #"[{"action": "\#(action)"\#(more.isEmpty ? "" : ", " + more)"# + limit(times)
    }

    private static func limit(_ times: Int?) -> String {
        (times.map { #", "times": \#($0)"# } ?? "") + "}]"
    }

    static let reading: [Case] = [
        Case(name: "throttled twice", action: .get, rules: answer("SlowDown", times: 2)),
        Case(
            name: "throttled for ever",
            action: .get,
            rules: answer("SlowDown"),
            failure: .unreachable
        ),
        Case(name: "internal errors", action: .get, rules: answer("InternalError", times: 3)),
        Case(name: "reset", action: .get, rules: action("reset", times: 2), requests: 1...6),
        Case(name: "closed", action: .get, rules: action("close", times: 2), requests: 1...6),
        Case(name: "answer lost", action: .get, rules: action("lost", times: 1), requests: 1...4),
        Case(name: "reset in the body", action: .get, rules: action("reset_body", times: 3)),
        Case(name: "body cut off", action: .get, rules: action("truncate_body", times: 3)),
        Case(
            name: "late",
            action: .get,
            rules: action("slow", #""seconds": 0.3"#),
            requests: 1...1
        ),
        Case(
            name: "dripping",
            action: .get,
            rules: action("drip", #""bytes": 60000, "seconds": 0.01"#),
            requests: 1...1
        ),
        Case(
            name: "hangs once",
            action: .get,
            rules: action("hang", times: 1, #""seconds": 20"#),
            options: hasty
        ),
        Case(
            name: "hangs after the headers once",
            action: .get,
            rules: action("hang_after_headers", times: 1, #""seconds": 20"#),
            options: hasty
        ),
        Case(
            name: "hangs for ever",
            action: .get,
            rules: action("hang", #""seconds": 20"#),
            failure: .unreachable,
            options: hasty
        ),
        Case(
            name: "clock skewed",
            action: .get,
            rules: action("skew", #""seconds": 3600"#),
            requests: 1...1
        ),
        Case(
            name: "HTML 404",
            action: .get,
            rules: action("answer", #""status": 404, "body": "<html>no</html>""#),
            failure: .unreachable,
            requests: 1...1
        ),
        Case(
            name: "HTML 404",
            action: .head,
            rules: action("answer", #""status": 404, "body": "<html>no</html>""#),
            failure: .unreachable,
            requests: 1...1
        ),
        Case(
            name: "no bucket",
            action: .get,
            rules: answer("NoSuchBucket"),
            failure: .noBucket,
            requests: 1...1
        ),
        Case(
            name: "denied",
            action: .get,
            rules: answer("AccessDenied"),
            failure: .accessDenied,
            requests: 1...1
        ),
        Case(
            name: "token expired",
            action: .get,
            rules: answer("ExpiredToken"),
            failure: .accessDenied,
            requests: 1...2
        ),
        Case(
            name: "another region",
            action: .get,
            rules: "[]",
            requests: 2...2,
            options: [BucketURL.Option("region", "eu-west-3")]
        ),
        Case(name: "throttled", action: .head, rules: answer("SlowDown", times: 1)),
        Case(name: "throttled", action: .list, rules: answer("SlowDown", times: 1)),
        Case(name: "body cut off", action: .list, rules: action("truncate_body", times: 1)),
        Case(
            name: "entities",
            action: .list,
            rules: action("hostile", #""kind": "entities""#),
            failure: .unreachable
        ),
        Case(
            name: "nested without end",
            action: .list,
            rules: action("hostile", #""kind": "nested", "bytes": 3000000"#),
            failure: .unreachable
        ),
        Case(
            name: "100 MB",
            action: .list,
            rules: action("hostile", #""kind": "huge", "bytes": 100000000"#),
            failure: .damaged
        ),
    ]

    static let writing: [Case] = [
        Case(name: "answer lost", action: .put, rules: action("lost", times: 1)),
        Case(name: "delivered twice", action: .put, rules: action("duplicate", times: 1)),
        Case(
            name: "reset while it is sent",
            action: .put,
            rules: action("reset_upload", times: 2, #""bytes": 1000"#),
            requests: 1...6
        ),
        Case(
            name: "bucket full",
            action: .put,
            rules: answer("QuotaExceeded"),
            failure: .noSpace
        ),
        Case(
            name: "answer lost",
            action: .putIfAbsent,
            rules: action("lost", times: 1, #""operation": "put""#)
        ),
        Case(
            name: "delivered twice",
            action: .putIfAbsent,
            rules: action("duplicate", times: 1, #""operation": "put""#)
        ),
        Case(
            name: "conflict",
            action: .putIfAbsent,
            rules: answer("ConditionalRequestConflict", times: 1)
        ),
        Case(
            name: "parts reset, lost and refused",
            action: .putLong,
            rules: """
                [{"operation": "upload-part", "times": 1, "action": "lost"},
                 {"operation": "upload-part", "times": 1, "action": "reset_upload"},
                 {"operation": "upload-part", "times": 1, "action": "answer",
                  "code": "InternalError"}]
                """,
            requests: 5...12
        ),
        Case(
            name: "answer to Complete lost",
            action: .putLong,
            rules: action("lost", times: 1, #""operation": "complete""#),
            requests: 5...10
        ),
        Case(
            name: "Complete fails inside a 200",
            action: .putLong,
            rules: action(
                "answer",
                times: 1,
                #""operation": "complete", "status": 200, "code": "InternalError""#
            ),
            requests: 5...10
        ),
        Case(
            name: "Complete fails inside a 200, after it took effect",
            action: .putLong,
            rules: action("error_in_200", times: 1, #""operation": "complete""#),
            requests: 5...10
        ),
        Case(
            name: "parts denied",
            action: .putLong,
            rules: action("answer", #""operation": "upload-part", "code": "AccessDenied""#),
            failure: .accessDenied,
            requests: 2...8
        ),
        Case(name: "throttled", action: .delete, rules: answer("SlowDown", times: 1)),
        Case(name: "answer lost", action: .delete, rules: action("lost", times: 1)),
        Case(
            name: "no bulk deletes",
            action: .delete,
            rules: action(
                "answer",
                times: 1,
                #""operation": "delete-many", "code": "NotImplemented""#
            )
        ),
    ]

    @Test(arguments: reading)
    func `what is read is right, or an error`(fault: Case) async throws { try await run(fault) }

    @Test(arguments: writing)
    func `what is written is there, or an error`(fault: Case) async throws { try await run(fault) }

    private func run(_ fault: Case) async throws {
        let server = try Self.server.get()
        try server.setRules("[]")
        let known = try S3Store.fresh(in: server.lab, policy: Self.policy)
        let key = try #require(ObjectKey("x"))
        try await known.put(key, bytes: Self.content)
        _ = try await known.conditionalWrites()
        let store =
            fault.options.isEmpty
            ? known : try known.again(in: server.lab, policy: Self.policy, options: fault.options)
        let before = try server.statistics()
        try server.setRules(fault.rules)
        let failure = try await perform(fault.action, store, key)
        let after = try server.statistics()
        try server.setRules("[]")
        #expect(failure?.code == fault.failure, "\(failure.map { "\($0)" } ?? "it succeeded")")
        #expect(fault.requests.contains(after.requests - before.requests))
        let refusals = fault.name == "another region" ? 1 : 0
        #expect(after.refused - before.refused == refusals)
        try await verify(fault, known, key)
    }

    private static let long = ObjectKey("long")!
    private static let new = ObjectKey("new")!

    private func perform(
        _ action: Action,
        _ store: S3Store,
        _ key: ObjectKey
    ) async throws -> StoreError? {
        do {
            switch action {
            case .get: #expect(try await store.get(key) == Self.content)
            case .head: #expect(try await store.head(key)?.size == UInt64(Self.content.count))
            case .list: #expect(try await store.list(prefix: "").map(\.key) == [key])
            case .delete: try await store.delete([key, Self.new])
            case .put: try await store.put(Self.new, bytes: Self.content)
            case .putIfAbsent: try await store.put(Self.new, bytes: Self.content, ifAbsent: true)
            case .putLong:
                let pieces = Array(repeating: [UInt8](repeating: 5, count: 1 << 20), count: 18)
                let body = ObjectStoreContractTests.PieceBody(pieces: pieces)
                try await store.put(Self.long, body: body, ifAbsent: false)
            }
            return nil
        } catch {
            return error
        }
    }

    /// The store's state after the fault, seen without it.
    private func verify(_ fault: Case, _ store: S3Store, _ key: ObjectKey) async throws {
        let found = try await store.list(prefix: "")
        switch fault.action {
        case .get, .head, .list: #expect(found.map(\.key) == [key])
        case .delete: #expect(found.isEmpty)
        case .put, .putIfAbsent:
            #expect(found.map(\.key) == (fault.failure == nil ? [Self.new, key] : [key]))
            if fault.failure == nil {
                #expect(try await store.get(Self.new) == Self.content)
            }
        case .putLong:
            let sizes = found.filter { $0.key == Self.long }.map(\.size)
            #expect(sizes == (fault.failure == nil ? [18 << 20] : []))
            let uploads = try Self.server.get().uploads()
            #expect(uploads.isEmpty, "uploads are left over: \(uploads)")
        }
    }
}
