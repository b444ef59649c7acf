import Foundation
import TestSupport
import Testing

/// What `make test` started is there to be tested with.
@Suite struct RealServerTests {
    @Test func `every server that the run started is seen by its tests`() {
        let named = ProcessInfo.processInfo.environment["HIGHWATER_S3_SERVERS"] ?? ""
        for kind in named.split(separator: " ").map(String.init) {
            #expect(LabServer.running.contains { $0.kind == kind }, "\(kind)")
        }
    }

    @Test func `servers get ports of their own, and one that does not come up is a failure`()
        async throws
    {
        let program = StrictServer.folder.appending(path: "check_servers.py").path
        let outcome = try await executor.run { try PythonProgram.run("python3", program) }
        #expect(outcome.status == 0, "\(outcome.output)")
    }
}
