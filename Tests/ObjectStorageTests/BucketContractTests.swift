import ObjectStorage
import Platform
import S3
import StoreCheck
import TestSupport
import Testing

/// What every S3 server has to do for us beyond the contract of all stores, real servers included.
@Suite struct BucketContractTests {
    func key(_ text: String) throws -> ObjectKey { try #require(ObjectKey(text)) }

    @Test(arguments: ContractSubject.buckets)
    func `keys that need encoding are what they are`(subject: ContractSubject) async throws {
        let store = try subject.open()
        let names = [
            "a b", "a+b", "a%20b", "a%2Fb", "ü/é", "x=y&z", "*", "~", "日本", "c:d", "\"q\"", "'s'",
            "<t>", "%", "😀", "a;b", "a,b", "@", "$", "!", "(1)", "[2]", "{3}", "|", "\\", "^", "`",
            "e\u{301}", "\u{e9}x", "#", "a?b",
        ]
        for name in names {
            try await store.put(key(name), bytes: Array(name.utf8))
            #expect(try await store.get(key(name)) == Array(name.utf8), "\(name)")
            #expect(try await store.head(key(name))?.size == UInt64(name.utf8.count), "\(name)")
        }
        let expected = try names.map { try key($0) }.sorted()
        #expect(try await store.list(prefix: "").map(\.key) == expected)
        for (index, name) in expected.enumerated().dropLast() {
            let next = try await store.list(prefix: "", after: name.path, limit: 1)
            #expect(next.map(\.key) == [expected[index + 1]], "after \(name)")
        }
        try await store.delete(expected)
        #expect(try await store.list(prefix: "").isEmpty)
    }

    @Test(arguments: ContractSubject.buckets)
    func `a long body of unknown length goes in parts`(subject: ContractSubject) async throws {
        let store = try subject.open()
        let piece = (0..<1_000_003).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) }
        let body = ObjectStoreContractTests.PieceBody(pieces: Array(repeating: piece, count: 19))
        try await store.put(key("long"), body: body, ifAbsent: false)
        let whole = (0..<19).flatMap { _ in piece }
        #expect(try await store.head(key("long"))?.size == UInt64(whole.count))
        #expect(try await store.get(key("long")) == whole)
        let seam: Range<UInt64> = 8_388_600..<8_388_616
        let part = whole[Int(seam.lowerBound)..<Int(seam.upperBound)]
        #expect(try await store.get(key("long"), range: seam) == Array(part))
    }

    @Test(arguments: ContractSubject.buckets)
    func `a long body that breaks leaves nothing`(subject: ContractSubject) async throws {
        let store = try subject.open()
        let piece = [UInt8](repeating: 7, count: 1 << 20)
        let body = ObjectStoreContractTests.PieceBody(
            pieces: Array(repeating: piece, count: 18),
            breaks: true
        )
        let error = await #expect(throws: StoreError.self) {
            try await store.put(key("broken"), body: body, ifAbsent: false)
        }
        #expect(error?.code == .bodyFailed)
        #expect(try await store.list(prefix: "").isEmpty)
    }

    @Test(arguments: ContractSubject.buckets)
    func `what a server refuses is what the table says`(subject: ContractSubject) async throws {
        let store = try #require(try subject.open() as? S3Store)
        let found = try await store.conditionalWrites() == .supported
        #expect(found == subject.traits.refusesToReplace)
        let refuses = try await store.refusesWrongDigest(key("wrong"))
        #expect(refuses == subject.traits.refusesWrongDigest)
        if refuses == true { #expect(try await store.head(key("wrong")) == nil) }
    }

    @Test func `highwater check finds nothing wrong with a folder, and leaves nothing`() async {
        let temporary = TemporaryFolderStore()
        let findings = await StoreCheck(temporary.inner).run { _ in }
        #expect(findings.map(\.step) == Finding.Step.allCases)
        #expect(findings.allSatisfy { [.ok, .skipped].contains($0.result) }, "\(findings)")
        #expect((try? FileSystem.names(in: temporary.inner.root)) == [])
    }

    @Test(arguments: ContractSubject.buckets)
    func `highwater check finds what the table says`(subject: ContractSubject) async throws {
        let store = try #require(try subject.open() as? any CheckedStore)
        let findings = await StoreCheck(store).run { _ in }
        let expected: [Finding.Step: Finding.Result] = [
            .conditional: subject.traits.refusesToReplace ? .ok : .warning,
            .digest: subject.traits.refusesWrongDigest ? .ok : .warning,
        ]
        for finding in findings {
            #expect(
                finding.result == expected[finding.step] ?? .ok,
                "\(finding.step): \(finding.detail)"
            )
        }
        #expect(try await store.list(prefix: "").isEmpty)
    }
}
