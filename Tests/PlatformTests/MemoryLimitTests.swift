import Testing

@testable import Platform

@Suite struct MemoryLimitTests {
    private func limit(_ groups: String, _ files: [String: String]) -> UInt64 {
        Memory.limit(machine: 8 << 30, groups: groups) { files[$0] }
    }

    @Test func `the least of machine and container counts`() {
        #expect(limit("", [:]) == 8 << 30)
        #expect(limit("0::/\n", ["/sys/fs/cgroup/memory.max": "max\n"]) == 8 << 30)
        #expect(limit("0::/\n", ["/sys/fs/cgroup/memory.max": "536870912\n"]) == 512 << 20)
        let own = "/sys/fs/cgroup/system.slice/highwater.service/memory.max"
        #expect(limit("0::/system.slice/highwater.service\n", [own: "1048576\n"]) == 1 << 20)
        let first = "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes"
        #expect(limit("4:cpu:/\n3:memory,x:/docker/1\n", [first: "2097152\n"]) == 2 << 20)
        // What version 1 says where there is no limit.
        let none = ["/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"]
        #expect(limit("", none) == 8 << 30)
        #expect(limit("rubbish\n::\n", ["/sys/fs/cgroup/memory.max": "-1\n"]) == 8 << 30)
    }

    @Test func `this machine has some`() { #expect(Memory.limit > 64 << 20) }
}
