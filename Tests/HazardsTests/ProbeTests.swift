import Platform
import TestSupport
import Testing

@testable import Hazards

@Suite struct ProbeTests {
    private func side(
        boot: String = "b",
        device: UInt64 = 1,
        inode: UInt64 = 2,
        rounds: UInt32 = 100,
        sawLock: Bool = true,
        sawUnlock: Bool = true,
        namespace: UInt64 = 5
    ) -> ProbeSide {
        var host = HostFacts()
        host.bootID = boot
        host.mountNamespace = namespace
        let note = PeerNote(id: "x", host: host, device: device, inode: inode, mount: nil)
        return ProbeSide(note: note, rounds: rounds, sawLock: sawLock, sawUnlock: sawUnlock)
    }

    private func answer(_ other: ProbeSide) -> ProbeResult.Answer {
        let forth = ProbeResult(own: side(), other: other, rounds: 100)
        let back = ProbeResult(own: other, other: side(), rounds: 100)
        #expect(forth.answer == back.answer, "both sides have to say the same")
        #expect(!forth.reasons.isEmpty)
        return forth.answer
    }

    @Test func `everything has to be right for coherent`() {
        #expect(answer(side()) == .coherent)
        #expect(answer(side(rounds: 99)) == .notCoherent)
        #expect(answer(side(rounds: 0)) == .notCoherent)
        #expect(answer(side(sawLock: false)) == .notCoherent)
        #expect(answer(side(sawUnlock: false)) == .notCoherent)
        #expect(answer(side(boot: "c")) == .notCoherent)
        #expect(answer(side(device: 9)) == .notProven)
        #expect(answer(side(inode: 9)) == .notProven)
    }

    @Test func `what it proves depends on where the two ran`() {
        let one = ProbeResult(own: side(), other: side(), rounds: 100)
        #expect(one.reasons.last?.contains("nothing about other containers") == true)
        let two = ProbeResult(own: side(), other: side(namespace: 6), rounds: 100)
        #expect(two.reasons.last?.contains("different containers") == true)
    }

    @Test func `nobody comes`() throws {
        let folder = TemporaryFolder()
        var settings = CoherenceProbe.Settings()
        settings.partnerTime = 50 * Nanoseconds.millisecond
        let result = try CoherenceProbe(folder: folder.path, settings: settings).run()
        #expect(result.answer == .notProven)
        #expect(folder.names.isEmpty)
    }

    @Test func `the folder has to be one`() {
        #expect(throws: HazardsError.self) { try CoherenceProbe(folder: "/etc/passwd") }
        #expect(throws: HazardsError.self) { try CoherenceProbe(folder: "/nowhere/at/all") }
    }
}
