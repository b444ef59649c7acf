import ObjectStorage
import Platform

/// Tries out whether a store can hold backups: everything that a backup and a restore ask of it,
/// in a folder of its own that is removed at the end.
package struct StoreCheck: Sendable {
    /// Beyond this difference of clocks a finding is a warning.
    static let clockWarningMilliseconds: Int64 = 60_000
    /// Bytes of the small object.
    static let smallBytes = 3000

    private let store: any CheckedStore
    private let folder: String
    private let includesLarge: Bool

    /// A check of `store`. `includesLarge` sends an object of several parts, too.
    package init(_ store: any CheckedStore, includesLarge: Bool = true) {
        self.store = store
        self.includesLarge = includesLarge
        let digits = String(UInt64.random(in: 0 ... .max), radix: 16)
        folder = "highwater-check-" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The objects of the check; the names need encoding in a URL and sort by their bytes.
    private var names: [String] { ["a b+c=1&%41", "a/é~(1)", "b"].map { folder + "/" + $0 } }
    private var missing: String { folder + "/missing" }
    private var wrong: String { folder + "/wrong-digest" }
    private var large: String { folder + "/large" }

    /// Runs all steps; `report` gets each finding as soon as it is there.
    package func run(_ report: (Finding) -> Void) async -> [Finding] {
        var findings: [Finding] = []
        var isBroken = false
        for step in Finding.Step.allCases {
            let finding =
                isBroken && step != .delete && step != .clock
                ? Finding(
                    step: step,
                    result: .skipped,
                    detail: "a step before it failed",
                    milliseconds: 0,
                    error: nil
                )
                : await perform(step, findings)
            if finding.result == .failed, [.list, .write, .read].contains(step) { isBroken = true }
            findings.append(finding)
            report(finding)
        }
        return findings
    }

    /// One step, its time, and what its error means.
    private func perform(_ step: Finding.Step, _ before: [Finding]) async -> Finding {
        let started = MonotonicTime.now
        var outcome: (result: Finding.Result, detail: String)
        var storeError: StoreError?
        do {
            outcome = try await body(of: step, before)
        } catch let error as StoreError {
            storeError = error
            outcome = (.failed, error.description)
        } catch let error as Unexpected {
            outcome = (.failed, error.detail)
        } catch {
            outcome = (.failed, "\(error)")
        }
        return Finding(
            step: step,
            result: outcome.result,
            detail: outcome.detail,
            milliseconds: (MonotonicTime.now - started) / Nanoseconds.millisecond,
            error: storeError
        )
    }

    private func body(
        of step: Finding.Step,
        _ before: [Finding]
    ) async throws -> (Finding.Result, String) {
        switch step {
        case .list: try await reach()
        case .write: try await write()
        case .read: try await read()
        case .range: try await ranges()
        case .absence: try await absence()
        case .listing: try await listing()
        case .conditional: try await conditional()
        case .digest: try await digest()
        case .large: try await severalParts()
        case .delete: try await delete(wroteSomething: before.dropFirst().first?.result == .ok)
        case .clock: clock()
        }
    }

    /// The error that `body` ends with; nil when it does not.
    private func failure(of body: () async throws(StoreError) -> Void) async -> StoreError? {
        do {
            try await body()
            return nil
        } catch {
            return error
        }
    }

    // MARK: - Steps

    private func reach() async throws -> (Finding.Result, String) {
        let found = try await store.list(prefix: "", after: nil, limit: 1)
        return (.ok, found.isEmpty ? "nothing is stored here yet" : "there are objects here")
    }

    private func write() async throws -> (Finding.Result, String) {
        for name in names {
            try await store.put(ObjectKey(checking: name, for: .put), bytes: Self.content(of: name))
        }
        return (.ok, "stored \(names.count) small objects")
    }

    private func read() async throws -> (Finding.Result, String) {
        for name in names {
            let key = try ObjectKey(checking: name, for: .get)
            guard try await store.get(key) == Self.content(of: name) else {
                throw Unexpected("'\(name)' came back with other bytes than were stored")
            }
            guard try await store.head(key)?.size == UInt64(Self.smallBytes) else {
                throw Unexpected("the store tells another size of '\(name)' than was stored")
            }
        }
        // A second version has to be seen at once: no answer may come from a cache.
        let key = try ObjectKey(checking: names[2], for: .put)
        for version in 1...3 {
            let bytes = [UInt8](repeating: UInt8(version), count: Self.smallBytes)
            try await store.put(key, bytes: bytes)
            guard try await store.get(key) == bytes else {
                throw Unexpected("after an object was replaced the store still shows the old one")
            }
        }
        return (.ok, "what was stored is there at once, and so is what replaces it")
    }

    private func ranges() async throws -> (Finding.Result, String) {
        let key = try ObjectKey(checking: names[0], for: .get)
        let bytes = Self.content(of: names[0])
        for range: Range<UInt64> in [0..<1, 1000..<2000, 2990..<3000, 2990..<9000, 5000..<6000] {
            let upper = min(Int(range.upperBound), bytes.count)
            let expected = Int(range.lowerBound) < upper ? bytes[Int(range.lowerBound)..<upper] : []
            guard try await store.get(key, range: range)[...] == expected else {
                throw Unexpected("bytes \(range.lowerBound) to \(range.upperBound) are wrong")
            }
        }
        return (.ok, "parts of an object are what they are in the whole")
    }

    private func absence() async throws -> (Finding.Result, String) {
        let key = try ObjectKey(checking: missing, for: .get)
        guard try await store.head(key) == nil else {
            throw Unexpected("the store describes an object that was never stored")
        }
        do {
            _ = try await store.get(key)
        } catch  where error.code == .notFound {
            return (.ok, "a missing object is said to be missing")
        }
        throw Unexpected("the store hands out an object that was never stored")
    }

    private func listing() async throws -> (Finding.Result, String) {
        let found = try await store.list(prefix: folder + "/")
        let expected = names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        guard found.map(\.key.path) == expected else {
            throw Unexpected("the listing names \(found.map(\.key.path)), stored were \(expected)")
        }
        guard found.allSatisfy({ $0.size == UInt64(Self.smallBytes) }) else {
            throw Unexpected("the listing tells wrong sizes")
        }
        let rest = try await store.list(prefix: folder + "/", after: expected[0], limit: 1)
        guard rest.map(\.key.path) == [expected[1]] else {
            throw Unexpected("a listing that begins after a name does not")
        }
        return (.ok, "what was stored is listed, in order, with sizes")
    }

    private func conditional() async throws -> (Finding.Result, String) {
        guard try await store.refusesToReplace() else {
            return (
                .warning,
                "the store replaces objects that were to be stored only if absent: two agents"
                    + " on one destination are noticed, not prevented"
            )
        }
        let key = try ObjectKey(checking: names[0], for: .put)
        let error = await failure { () async throws(StoreError) in
            try await store.put(key, bytes: [1], ifAbsent: true)
        }
        guard let error else {
            throw Unexpected("an object was replaced that was to be stored only if absent")
        }
        guard error.code == .preconditionFailed else { throw error }
        guard try await store.get(key) == Self.content(of: names[0]) else {
            throw Unexpected("an object was refused, and still changed the one that is there")
        }
        return (.ok, "an object that exists is not replaced, and the store says so")
    }

    private func digest() async throws -> (Finding.Result, String) {
        let key = try ObjectKey(checking: wrong, for: .put)
        guard let refuses = try await store.refusesWrongDigest(key) else {
            return (.skipped, "no digest goes with what is stored here")
        }
        if refuses, try await store.head(key) == nil {
            return (.ok, "content that was changed on the way is refused")
        }
        return (
            .warning,
            "the store takes content that does not have the announced MD5; damage on the way"
                + " there is found only when a backup is verified"
        )
    }

    private func severalParts() async throws -> (Finding.Result, String) {
        guard let partBytes = store.partBytes else {
            return (.skipped, "objects are stored in one piece here")
        }
        guard includesLarge else { return (.skipped, "not asked for") }
        let key = try ObjectKey(checking: large, for: .put)
        let size = partBytes + 1
        try await store.put(key, body: RepeatingBody(size: size), ifAbsent: false)
        guard try await store.head(key)?.size == UInt64(size) else {
            throw Unexpected("an object of several parts has another size than was sent")
        }
        // The seam between the parts.
        let range = UInt64(partBytes - 3)..<UInt64(size)
        guard try await store.get(key, range: range) == RepeatingBody.bytes(range) else {
            throw Unexpected("an object of several parts was put together wrongly")
        }
        return (.ok, "\(size) bytes in several parts came back right")
    }

    private func delete(wroteSomething: Bool) async throws -> (Finding.Result, String) {
        let keys = (names + [wrong, large]).compactMap { ObjectKey($0) }
        let error = await failure { () async throws(StoreError) in try await store.delete(keys) }
        if let error {
            guard error.code == .accessDenied, wroteSomething else { throw error }
            return (
                .warning,
                "nothing can be deleted with these credentials: backups work, 'prune' does not;"
                    + " what the check stored stays below '\(folder)'"
            )
        }
        guard wroteSomething else { return (.skipped, "nothing was stored") }
        let left = try await store.list(prefix: folder + "/")
        guard left.isEmpty else {
            throw Unexpected("deleted objects are still listed: \(left.map(\.key.path))")
        }
        await store.removeEmptyFolders([folder + "/a", folder])
        return (.ok, "everything that the check stored is deleted")
    }

    private func clock() -> (Finding.Result, String) {
        guard let offset = store.clockOffsetMilliseconds else {
            return (.skipped, "the store has told no time")
        }
        let seconds = Double(abs(offset) / 100) / 10
        let text = "the store's clock is \(seconds) s \(offset < 0 ? "behind" : "ahead of") ours"
        guard abs(offset) > Self.clockWarningMilliseconds else { return (.ok, text) }
        return (.warning, text + "; set this machine's clock")
    }

    /// The bytes that the check stores under a name.
    private static func content(of name: String) -> [UInt8] {
        var state = name.utf8.reduce(UInt64(1469)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
        return (0..<smallBytes).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 33)
        }
    }
}

/// A body of a known pattern that is never in memory as a whole, and does not tell its length
/// beforehand, so that it is sent in parts.
struct RepeatingBody: ObjectBody {
    let byteCount: UInt64? = nil
    private let size: UInt64
    private var offset: UInt64 = 0

    init(size: Int) { self.size = UInt64(size) }

    /// The bytes at these offsets.
    static func bytes(_ range: Range<UInt64>) -> [UInt8] {
        range.map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 >> 8) }
    }

    mutating func next() async throws -> [UInt8]? {
        let end = min(size, offset + 256 * 1024)
        guard offset < end else { return nil }
        defer { offset = end }
        return Self.bytes(offset..<end)
    }
}
