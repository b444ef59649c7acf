import Testing

/// The runbook of docs/RECOVERY.md as it stands there, and restores, verifications and rewinds of
/// what others have left behind.
@Suite struct RecoveryTests {
    /// Scenarios of Tests/Oracle/recovery.py.
    static let scenarios = [
        "runbook_lost_machine",
        "runbook_bad_deploy",
        "runbook_dropped_table",
        "runbook_corrupted_volume",
        "runbook_damaged_backup",
        "runbook_deleted_prefix",
        "runbook_ahead",
        "verify_live",
        "hostile_store",
        "two_databases",
        "targets_outside",
        "target_in_use",
        "interrupted_restore",
        "restore_events",
    ]

    /// The scenario of Tests/Oracle/versioned.py.
    static let versioned = ["runbook_deleted_versions"]

    @Test(arguments: scenarios + versioned)
    func `what was lost comes back as the runbook says`(_ scenario: String) async throws {
        try await Oracle.expect(scenario)
    }
}
