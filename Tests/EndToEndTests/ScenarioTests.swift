import Testing

/// An application in another process commits, the agent follows, and every TXID is restored and
/// compared page for page.
///
/// docs/TESTING.md says how to run one scenario.
@Suite struct ScenarioTests {
    /// What applications do to their database (Tests/Oracle/scenarios.py).
    static let application = [
        "autocheckpoint_1",
        "autocheckpoint_1000",
        "autocheckpoint_off",
        "checkpoint_passive",
        "checkpoint_full",
        "checkpoint_restart",
        "checkpoint_truncate",
        "busy_timeout_0",
        "long_readers",
        "two_writers",
        "full_speed_autocheckpoint_20",
        "full_speed_autocheckpoint_1000",
        "vacuum",
        "auto_vacuum_full",
        "auto_vacuum_incremental",
        "page_size_512",
        "page_size_1024",
        "page_size_4096",
        "page_size_65536",
        "large_transaction",
        "savepoints",
        "unchecked_frames",
        "repeated_commit_frames",
        "spilled_frames",
        "shrink_then_growth",
        "shrink_checkpoint_growth",
        "unwritten_growth",
        "lock_page",
    ]

    /// Deaths, starts and stops (Tests/Oracle/lifecycle.py).
    static let lifecycle = [
        "writer_killed",
        "agent_killed",
        "agent_killed_autocheckpoint",
        "backfilled_while_dead",
        "reset_while_dead",
        "reset_directly_after_the_last_commit",
        "copied",
        "restored",
        "second_agent",
        "behind_the_backup",
        "spool_outlives_the_agent",
        "last_connection_closes",
        "resumed",
        "final_sync",
        "second_signal",
        "starts_before_the_application",
        "other_user_starts_first",
        "nothing_is_left_in_the_database",
    ]

    /// Many databases in one agent (Tests/Oracle/fleet.py).
    static let fleet = [
        "two_replicas",
        "two_replicas_killed",
        "outage_is_few_objects",
        "outage_protects_the_backup",
        "outage_protects_the_application",
        "watched_folder",
        "reload_disturbs_nobody",
        "one_failing_database", "few_descriptors",
        "once",
        "exec_application", "exec_application_is_brief",
        "hostile_control_clients",
        "start_stop_register",
        "configuration_errors",
    ]

    /// What the agent does for its store (Tests/Oracle/upkeep.py).
    static let upkeep = [
        "levels_are_built", "snapshot_in_slices", "levels_survive_kills", "verify_in_the_agent",
    ]

    /// Databases that come back in an earlier state, and backups that go away
    /// (Tests/Oracle/returning.py).
    static let returning = ["restored_earlier", "restored_hint_is_no_oath", "deleted_underneath"]

    /// Two live agents on copies of one database (Tests/Oracle/rivals.py).
    static let rivals = [
        "copied_alive", "cloned_alive", "s3_cloned_alive", "s3_copied_alive_without_conditions",
        "s3_cloned_alive_without_conditions",
    ]

    /// Random damage to a store (Tests/Oracle/spoiled.py).
    static let spoiled = ["spoiled_store"]

    /// What scripts/test.sh runs by itself: its figure is a matter of the machine's time.
    static let alone = ["wal_is_bounded", "wal_is_bounded_beside_checkpoints"]

    /// Bad input (Tests/Oracle/bad_input.py).
    static let badInput = [
        "not_a_database",
        "missing_folder",
        "missing_store_is_no_backup",
        "permission_denied",
        "rollback_journal",
        "exclusive_locking_mode",
        "output_exists",
        "output_folder_missing",
        "txid_syntax",
        "usage_errors",
        "damaged_segments",
        "foreign_objects",
        "missing_segment",
        "store_not_writable",
        "disk_full_while_restoring",
    ]

    @Test(arguments: application)
    func `every commit of the application restores`(_ scenario: String) async throws {
        try await Oracle.expect(scenario)
    }

    @Test(arguments: upkeep)
    func `what is stored twice is stored right`(_ scenario: String) async throws {
        try await Oracle.expect(scenario)
    }

    @Test(arguments: lifecycle)
    func `no death, start or stop loses a commit`(_ scenario: String) async throws {
        try await Oracle.expect(scenario)
    }

    @Test(arguments: returning)
    func `what was restored goes on in the backup`(_ scenario: String) async throws {
        try await Oracle.expect(scenario)
    }

    @Test(arguments: rivals)
    func `two agents of one destination say so and damage nothing`(
        _ scenario: String
    ) async throws {
        try await Oracle.expect(scenario)
    }

    @Test(arguments: spoiled)
    func `damage is never handed over, and is found`(_ scenario: String) async throws {
        try await Oracle.expect(scenario)
    }

    @Test(arguments: badInput)
    func `bad input is refused without harm`(_ scenario: String) async throws {
        try await Oracle.expect(scenario)
    }

    @Test(arguments: fleet)
    func `many databases in one agent hold up none of the others`(
        _ scenario: String
    ) async throws {
        try await Oracle.expect(scenario)
    }

    @Test func `every scenario of the harness is a test`() async throws {
        let outcome = try await Oracle.run(["--list"])
        let names = outcome.output.split(separator: "\n").filter { !$0.hasPrefix(" ") }
        let known =
            Self.application + Self.lifecycle + Self.badInput + HazardTests.all
            + BucketTests.scenarios + Self.fleet + RecoveryTests.scenarios + Self.upkeep
            + Self.returning + Self.rivals + Self.spoiled + RecoveryTests.versioned
        #expect(names.map(String.init).filter { !Self.alone.contains($0) } == known)
        #expect(names.contains { $0 == Self.alone[0] })
    }
}
