import BackupCatalog
import Bytes
import ObjectStorage
import Platform
import TestSupport
import Testing

@testable import Restore

/// What happens to objects in a store, and that `verify` finds it.
@Suite struct VerifierTests {
    private func report(
        _ history: SampleHistory,
        reads: Bool = true,
        wholeBytes: Int = 64 << 20
    ) async throws -> BackupVerifier.Report {
        let catalog = Catalog(store: history.store)
        let verifier = BackupVerifier(
            catalog: catalog,
            executor: RestoreBench.executor,
            parallelism: 2,
            memoryBytes: wholeBytes,
            progress: RestoreProgress()
        )
        let generation = try await catalog.generation(history.generation)
        return try await verifier.verify(generation, reads: reads)
    }

    private func keys(_ history: SampleHistory) -> [ObjectKey] {
        history.store.objects.keys.filter { !$0.path.hasSuffix(".json") }.sorted()
    }

    @Test(arguments: 1...3)
    func `a whole backup has no findings`(_ seed: Int) async throws {
        for history in [
            try await RestoreTests.history(seed: UInt64(seed)),
            try await SampleHistory.merged(seed: UInt64(seed)),
        ] {
            let report = try await report(history)
            #expect(report.findings.isEmpty, "\(report.findings)")
            #expect(report.restorable == [TXID(1)...history.txid])
            #expect(report.readObjects == keys(history).count)
        }
    }

    @Test func `a bit that flipped anywhere is found`() async throws {
        let history = try await SampleHistory.merged(seed: 4)
        for key in keys(history) {
            let whole = history.store.objects[key]!
            for offset in stride(from: 1, to: whole.count, by: max(1, whole.count / 6)) {
                history.store.objects[key]![offset] ^= 0x20
                let report = try await report(history)
                #expect(report.findings.contains { $0.object == key.path }, "\(key) \(offset)")
                history.store.objects[key] = whole
            }
        }
    }

    @Test func `an object that was cut is found`() async throws {
        let history = try await SampleHistory.merged(seed: 5)
        for key in keys(history) {
            let whole = history.store.objects[key]!
            for count in [0, 100, whole.count / 2, whole.count - 1] {
                history.store.objects[key] = Array(whole.prefix(count))
                let report = try await report(history)
                #expect(report.findings.contains { $0.object == key.path }, "\(key) \(count)")
            }
            history.store.objects[key] = whole
        }
    }

    @Test func `a log segment that was deleted is found, and what is left is said`() async throws {
        let history = try await RestoreTests.history(seed: 6)
        let logs = keys(history).filter { $0.path.hasSuffix(".log") }
        for key in logs.dropLast() {
            let whole = history.store.objects[key]
            history.store.objects[key] = nil
            let report = try await report(history, reads: false)
            #expect(report.findings.contains { $0.kind == .missing }, "\(key)")
            #expect(report.restorable != [TXID(1)...history.txid])
            history.store.objects[key] = whole
        }
    }

    @Test func `objects that were swapped or copied are found`() async throws {
        let history = try await RestoreTests.history(seed: 7)
        let all = keys(history)
        for (first, second) in zip(all, all.dropFirst()) {
            let (a, b) = (history.store.objects[first]!, history.store.objects[second]!)
            (history.store.objects[first], history.store.objects[second]) = (b, a)
            let swapped = try await report(history)
            #expect(swapped.findings.contains { $0.object == first.path }, "\(first)")
            (history.store.objects[first], history.store.objects[second]) = (a, b)
            let text = first.path
            let copy = ObjectKey(text.replacingTag(with: "00000000000000aa"))!
            history.store.objects[copy] = a
            let copied = try await report(history)
            #expect(copied.findings.contains { $0.object == copy.path }, "\(copy)")
            history.store.objects[copy] = nil
        }
    }

    @Test func `another generation's object is found`() async throws {
        var history = try await RestoreTests.history(seed: 8)
        let foreign = keys(history).first { $0.path.hasSuffix(".log") }!
        let bytes = history.store.objects[foreign]!
        let (first, name) = (history.generation, foreign.path.split(separator: "/").last!)
        history.txid = .zero
        try await history.beginGeneration()
        try await history.snapshot()
        #expect(first != history.generation)
        try await history.put("00/\(name)", bytes)
        let report = try await report(history)
        #expect(report.findings.contains { $0.object.contains(name) })
    }

    @Test func `large objects are checked in parts`() async throws {
        var history = SampleHistory(seed: 9, pageSize: 4096, pageCount: 2000)
        for index in history.pages.indices {
            history.pages[index] = (0..<4096).map { _ in UInt8.random(in: 0...255) }
        }
        try await history.beginGeneration()
        let key = try await history.snapshot()
        #expect(try await report(history, wholeBytes: 1).findings.isEmpty)
        history.store.objects[key]![5_000_000] ^= 1
        #expect(try await report(history, wholeBytes: 1).findings.count == 1)
    }
}

extension String {
    /// The key with another writer tag.
    fileprivate func replacingTag(with tag: String) -> String {
        let dot = lastIndex(of: ".")!
        return String(self[..<index(dot, offsetBy: -16)]) + tag + String(self[dot...])
    }
}
