import Testing

@testable import Hazards

@Suite struct HostFactsTests {
    private func hints(
        version: String = "Linux version 6.1.0-18-amd64",
        cgroup: String = "0::/init.scope",
        files: Set<String> = [],
        isKubernetes: Bool = false
    ) -> [String] {
        HostFacts.hints(
            version: version,
            cgroup: cgroup,
            hypervisor: "flags : fpu vme",
            exists: { files.contains($0) },
            isKubernetes: isKubernetes
        )
    }

    @Test func `environments are recognised by what they leave`() {
        #expect(hints().isEmpty)
        #expect(hints(version: "Linux version 4.19.0-gvisor") == ["gVisor sandbox"])
        #expect(
            hints(version: "Linux version 5.15.153.1-microsoft-standard-WSL2") == [
                "Windows Subsystem for Linux"
            ]
        )
        #expect(
            hints(version: "Linux version 6.6.31-linuxkit", files: ["/.dockerenv"]) == [
                "Docker Desktop's virtual machine", "Docker container",
            ]
        )
        #expect(hints(cgroup: "12:cpu:/kubepods/besteffort/pod1") == ["Kubernetes"])
        #expect(hints(files: ["/run/.containerenv"]) == ["Podman container"])
        #expect(hints(isKubernetes: true) == ["Kubernetes"])
    }

    @Test func `every hint is only a remark`() {
        let facts = HostFacts.look()
        #expect(!facts.bootID.isEmpty)
        #expect(facts.pidNamespace != 0 && facts.mountNamespace != 0)
    }
}

@Suite struct FindingTests {
    /// docs/HAZARDS.md has a paragraph for each kind of finding.
    @Test(arguments: Finding.Code.allCases)
    func `every finding is documented`(_ code: Finding.Code) throws {
        let page = try Shell.text(ofPage: "docs/HAZARDS.md")
        #expect(page.contains("**\(code.rawValue)**"), "\(code.rawValue)")
    }

    @Test func `the worst comes first, and the order within a verdict stays`() {
        let findings = [
            Finding(.walSize, .ok, "a"), Finding(.fileMount, .fatal, "b"),
            Finding(.openers, .ok, "c"), Finding(.freeSpace, .warn, "d"),
        ]
        #expect(findings.worstFirst.map(\.message) == ["b", "d", "a", "c"])
        #expect(findings.verdict == .fatal)
        #expect([Finding]().verdict == .ok)
    }
}
