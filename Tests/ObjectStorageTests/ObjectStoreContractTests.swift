import Bytes
import Glibc
import ObjectStorage
import Platform
import TestSupport
import Testing

/// The executor of all tests in this module.
let executor = ThreadExecutor(threads: 4)

/// What every store promises, over each of ours.
@Suite struct ObjectStoreContractTests {
    func key(_ text: String) throws -> ObjectKey { try #require(ObjectKey(text)) }

    @Test(arguments: ContractSubject.all)
    func `what was put is there, whole and in parts`(subject: ContractSubject) async throws {
        let store = try subject.open()
        let bytes = (0..<3000).map { UInt8(truncatingIfNeeded: $0) }
        let key = try key("a/b/object")
        try await store.put(key, bytes: bytes)
        #expect(try await store.get(key) == bytes)
        #expect(try await store.get(key, range: 0..<10) == Array(bytes[..<10]))
        #expect(try await store.get(key, range: 2990..<3000) == Array(bytes[2990...]))
        #expect(try await store.get(key, range: 2990..<9000) == Array(bytes[2990...]))
        #expect(try await store.get(key, range: 5000..<9000).isEmpty)
        #expect(try await store.get(key, range: 7..<7).isEmpty)
        #expect(try await store.head(key)?.size == 3000)
    }

    @Test(arguments: ContractSubject.all)
    func `an empty object is an object`(subject: ContractSubject) async throws {
        let store = try subject.open()
        try await store.put(key("empty"), bytes: [])
        #expect(try await store.get(key("empty")).isEmpty)
        #expect(try await store.head(key("empty"))?.size == 0)
    }

    @Test(arguments: ContractSubject.all)
    func `a missing object is missing`(subject: ContractSubject) async throws {
        let store = try subject.open()
        #expect(try await store.head(key("none")) == nil)
        let error = await #expect(throws: StoreError.self) {
            try await store.get(key("none"))
        }
        #expect(error?.code == .notFound)
        #expect(try await store.list(prefix: "").isEmpty)
        try await store.put(key("file"), bytes: [1])
        #expect(try await store.head(key("file/below")) == nil)
        try await store.delete([key("none"), key("no/such/folder")])
    }

    @Test(arguments: ContractSubject.all)
    func `a second put replaces, unless only if absent`(subject: ContractSubject) async throws {
        let store = try subject.open()
        try await store.put(key("x"), bytes: [1], ifAbsent: true)
        let error = await #expect(throws: StoreError.self) {
            try await store.put(key("x"), bytes: [2], ifAbsent: true)
        }
        #expect(error?.code == .preconditionFailed)
        #expect(try await store.get(key("x")) == [1])
        try await store.put(key("x"), bytes: [3])
        #expect(try await store.get(key("x")) == [3])
        #expect(try await store.list(prefix: "").count == 1)
    }

    @Test(arguments: ContractSubject.all)
    func `of many that put only if absent one wins`(subject: ContractSubject) async throws {
        let store = try subject.open()
        let key = try key("contested")
        let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<16 {
                group.addTask {
                    do {
                        try await store.put(key, bytes: [UInt8(number)], ifAbsent: true)
                        return true
                    } catch let error as StoreError where error.code == .preconditionFailed {
                        return false
                    }
                }
            }
            var count = 0
            for try await won in group where won { count += 1 }
            return count
        }
        if subject.traits.refusesToReplace {
            #expect(winners == 1)
        } else {
            #expect(winners >= 1)
        }
    }

    @Test(arguments: ContractSubject.all)
    func `lists in the order of the keys' bytes`(subject: ContractSubject) async throws {
        let store = try subject.open()
        // '-' and '.' sort before '/', '0' after it.
        let names = ["a-b", "a.c", "a/1", "a/2/x", "a/2-y", "a0", "b/c", "é"]
        for name in names.shuffled() { try await store.put(key(name), bytes: [1, 2]) }
        let all = try await store.list(prefix: "")
        #expect(all.map(\.key.path) == ["a-b", "a.c", "a/1", "a/2-y", "a/2/x", "a0", "b/c", "é"])
        #expect(all.allSatisfy { $0.size == 2 })
        #expect(
            try await store.list(prefix: "a/").map(\.key.path) == ["a/1", "a/2-y", "a/2/x"]
        )
        #expect(try await store.list(prefix: "a/2").map(\.key.path) == ["a/2-y", "a/2/x"])
        #expect(try await store.list(prefix: "c").isEmpty)
        for (index, object) in all.enumerated() {
            let rest = try await store.list(prefix: "", after: object.key.path)
            #expect(rest == Array(all[(index + 1)...]))
            let one = try await store.list(prefix: "", after: object.key.path, limit: 1)
            #expect(one == Array(all[(index + 1)...].prefix(1)))
        }
        #expect(try await store.list(prefix: "a/", after: "a/2").map(\.key.path).count == 2)
    }

    @Test(arguments: ContractSubject.all)
    func `what was deleted is gone`(subject: ContractSubject) async throws {
        let store = try subject.open()
        for name in ["x/1", "x/2", "y"] { try await store.put(key(name), bytes: [1]) }
        try await store.delete([key("x/1"), key("y")])
        #expect(try await store.list(prefix: "").map(\.key.path) == ["x/2"])
        try await store.put(key("x/1"), bytes: [2])
        #expect(try await store.get(key("x/1")) == [2])
    }

    /// A body in pieces that may break.
    struct PieceBody: ObjectBody {
        var pieces: [[UInt8]]
        var breaks = false
        var byteCount: UInt64? { nil }

        struct Broken: Error {}

        mutating func next() async throws -> [UInt8]? {
            if pieces.isEmpty {
                if breaks { throw Broken() }
                return nil
            }
            return pieces.removeFirst()
        }
    }

    @Test(arguments: ContractSubject.all)
    func `a body comes in pieces, and one that breaks stores nothing`(subject: ContractSubject)
        async throws
    {
        let store = try subject.open()
        let body = PieceBody(pieces: [[1, 2], [], [3]])
        try await store.put(key("whole"), body: body, ifAbsent: false)
        #expect(try await store.get(key("whole")) == [1, 2, 3])
        let error = await #expect(throws: StoreError.self) {
            let broken = PieceBody(pieces: [[9]], breaks: true)
            try await store.put(key("broken"), body: broken, ifAbsent: false)
        }
        #expect(error?.code == .bodyFailed)
        #expect(try await store.list(prefix: "").map(\.key.path) == ["whole"])
    }

    @Test func `keys that lead elsewhere are no keys`() {
        for text in [
            "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", "a\n", "a\0b",
            String(repeating: "x", count: 1025),
            // With a combining mark a slash is another character in Swift, and none to the kernel.
            "a/../\u{301}x", "a//\u{301}", "/\u{301}",
        ] {
            #expect(ObjectKey(text) == nil, "\(text)")
        }
        #expect(ObjectKey("a..b/.c")?.name == ".c")
        #expect(ObjectKey("a/\u{301}x")?.name.utf8.count == 3)
    }
}
