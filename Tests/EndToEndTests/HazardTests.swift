import Testing

/// Set-ups that break WAL mode, and set-ups that do not, made from mount namespaces and FUSE
/// (Tests/Oracle/hazards.py).
///
/// Where the machine permits no mounts a scenario passes with the reason in what it prints.
@Suite struct HazardTests {
    static let scenarios = [
        "local_folders_are_fine",
        "one_overlay_is_a_warning",
        "sidecar_in_a_container",
        "mounted_file",
        "two_file_systems",
        "heartbeats_of_two_kernels",
        "caught_at_run_time",
        "replaced_file",
        "two_names",
        "lost_locks",
        "damaged_index",
        "probe_partner_dies",
        "doctor_bad_paths",
        "doctor_database",
        "doctor_machine",
    ]

    /// What is shipped beside the program (Tests/Oracle/packaging.py).
    static let packaging = [
        "install",
        "manual",
        "systemd_unit",
        "container_examples",
        "image",
    ]

    /// The agent as process 1 (Tests/Oracle/containers.py).
    static let containers = ["process_one", "exec_as_process_one"]

    static let all = scenarios + packaging + containers

    @Test(arguments: scenarios)
    func `hazards are seen before any harm, and nothing else is`(_ scenario: String) async throws {
        let outcome = try await Oracle.run([scenario])
        #expect(outcome.status == 0, "\(outcome.output)")
        if outcome.output.contains("skipped:") { print(outcome.output) }
    }

    @Test(arguments: containers)
    func `the agent is a good process 1`(_ scenario: String) async throws {
        let outcome = try await Oracle.run([scenario])
        #expect(outcome.status == 0, "\(outcome.output)")
        if outcome.output.contains("skipped:") { print(outcome.output) }
    }

    @Test(arguments: packaging)
    func `what is shipped is whole`(_ scenario: String) async throws {
        let outcome = try await Oracle.run([scenario])
        #expect(outcome.status == 0, "\(outcome.output)")
        if outcome.output.contains("not checked:") { print(outcome.output) }
    }
}
