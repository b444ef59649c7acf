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

    /// What scripts/test.sh runs by itself: its figure is a matter of the machine's time.
    static let alone = ["wal_is_bounded"]

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

    @Test(arguments: lifecycle)
    func `no death, start or stop loses a commit`(_ scenario: String) async throws {
        try await Oracle.expect(scenario)
    }

    @Test(arguments: badInput)
    func `bad input is refused without harm`(_ scenario: String) async throws {
        try await Oracle.expect(scenario)
    }

    @Test func `every scenario of the harness is a test`() async throws {
        let outcome = try await Oracle.run(["--list"])
        let names = outcome.output.split(separator: "\n").filter { !$0.hasPrefix(" ") }
        let known =
            Self.application + Self.lifecycle + Self.badInput + HazardTests.all
            + BucketTests.scenarios + RecoveryTests.scenarios
        #expect(names.map(String.init).filter { !Self.alone.contains($0) } == known)
        #expect(names.contains { $0 == Self.alone[0] })
    }
}
