import TestSupport
import Testing

/// The S3 server of the tests is right itself, as boto3 sees it.
@Suite struct StrictServerTests {
    @Test func `boto3 and the strict server agree`() async throws {
        guard let python = PythonProgram.withBoto else {
            print("skipped: no boto3; Tests/S3Servers/servers.py python installs it")
            return
        }
        let program = StrictServer.folder.appending(path: "check_strict.py").path
        let outcome = try await executor.run { try PythonProgram.run(python, program) }
        #expect(outcome.status == 0, "\(outcome.output)")
    }

    @Test func `its log shows what was asked and its rules what was answered`() async throws {
        let server = try StrictServer()
        try server.setRules(#"[{"action": "answer", "code": "SlowDown", "times": 1}]"#)
        let unsigned = try await executor.run {
            try PythonProgram.run("python3", "-c", [Self.request, server.facts.endpoint])
        }
        #expect(unsigned.output == "403\n")
        let log = try server.log()
        #expect(log.map(\.error) == ["AccessDenied"])
        #expect(log.map(\.target) == ["/bucket/a%20b?x"])
        #expect(try server.statistics().connections == 1)
    }

    static let request = """
        import sys, urllib.request, urllib.error
        try:
            urllib.request.urlopen(sys.argv[1] + "/bucket/a%20b?x")
        except urllib.error.HTTPError as error:
            print(error.code)
        """
}
